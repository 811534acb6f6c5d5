//! Checkouts whose order service died before it stored the order: ask for the order's fate, and put the lines back if it has none.

use std::time::Duration;

use chassis::client::Dependency;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{GetOrderFateRequest, OrderFate};
use crdt::ReplicaId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::store::{self, Overdue};

/// An order request lives at most a minute, so after five an order that is still unknown will never be stored. Nothing depends on it:
/// were it stored after all, its event would consume the abandoned cut.
const OVERDUE_AFTER: Duration = Duration::from_secs(300);
/// How often to look.
const EVERY: Duration = Duration::from_secs(30);
/// Checkouts taken at a time; a look goes on until none is left to be looked at.
const BATCH: i64 = 100;
/// Longest call.
const DEADLINE: Duration = Duration::from_secs(2);

/// Looks for overdue checkouts until `token` is cancelled.
///
/// # Errors
/// A failure of the database, or of the order service as a whole; nothing is lost, the next look goes on. An order that it cannot tell
/// the fate of holds up no other.
pub async fn settle_overdue_checkouts(
    pool: PgPool,
    orders: Dependency,
    replica: ReplicaId,
    token: CancellationToken,
) -> Result<(), Status> {
    loop {
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        look(&pool, &orders, replica, &token).await?;
    }
}

/// Asks about all that is to be looked at now.
async fn look(pool: &PgPool, orders: &Dependency, replica: ReplicaId, token: &CancellationToken) -> Result<(), Status> {
    loop {
        let taken = store::take_overdue(pool, OVERDUE_AFTER, BATCH).await?;
        let is_last = i64::try_from(taken.len()).unwrap_or(i64::MAX) < BATCH;
        for overdue in taken {
            if token.is_cancelled() {
                return Ok(());
            }
            match settle(pool, orders, replica, overdue).await {
                Ok(()) => {}
                Err(status) if is_outage(&status) => return Err(status),
                Err(status) => {
                    tracing::error!(order_id = %overdue.order_id, %status, "the fate of an overdue checkout's order cannot be told");
                }
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Whether asking about others would fail as well.
fn is_outage(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted)
}

async fn settle(pool: &PgPool, orders: &Dependency, replica: ReplicaId, overdue: Overdue) -> Result<(), Status> {
    let request = GetOrderFateRequest { order_id: overdue.order_id.to_string() };
    let ask = |channel| {
        let request = request.clone();
        async move { OrderServiceClient::new(channel).get_order_fate(request).await }
    };
    let fate = orders.call(DEADLINE, ask).await?.fate();
    match fate {
        OrderFate::Unknown | OrderFate::Ended => {
            tracing::info!(order_id = %overdue.order_id, ?fate, "putting back the lines of an overdue checkout");
            // One who lost a race against an edit is overdue at the next look too.
            store::abandon(pool, overdue.cart_id, overdue.order_id, replica).await?;
        }
        // Placed: its event is on the way. Undecided: the saga is still at it.
        OrderFate::Placed | OrderFate::Undecided | OrderFate::Unspecified => {}
    }
    Ok(())
}
