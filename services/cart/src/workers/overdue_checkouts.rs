//! Checkouts whose order service died before it stored the order: ask for the order's fate, and put the lines back if it has none.

use std::time::Duration;

use chassis::client::Dependency;
use chrono::Utc;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{GetOrderFateRequest, OrderFate};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::store::{self, Overdue};

/// An order request lives at most a minute, so after five an order that is still unknown will never be stored. Nothing depends on it:
/// were it stored after all, its event would consume the abandoned cut.
const OVERDUE_AFTER: chrono::TimeDelta = chrono::TimeDelta::minutes(5);
/// How often to look.
const EVERY: Duration = Duration::from_secs(30);
/// Checkouts settled in one look; at one look per [`EVERY`] that is 200 a minute, far above any rate of crashes.
const BATCH: i64 = 100;
/// Longest call.
const DEADLINE: Duration = Duration::from_secs(2);

/// Looks for overdue checkouts until `token` is cancelled.
///
/// # Errors
/// The first failure of the database or the order service; nothing is lost, the next look starts anew.
pub async fn settle_overdue_checkouts(
    pool: PgPool,
    orders: Dependency,
    token: CancellationToken,
) -> Result<(), Status> {
    loop {
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        for overdue in store::overdue(&pool, Utc::now() - OVERDUE_AFTER, BATCH).await? {
            settle(&pool, &orders, overdue).await?;
        }
    }
}

async fn settle(pool: &PgPool, orders: &Dependency, overdue: Overdue) -> Result<(), Status> {
    let request = GetOrderFateRequest { order_id: overdue.order_id.to_string() };
    let ask = |channel| {
        let request = request.clone();
        async move { OrderServiceClient::new(channel).get_order_fate(request).await }
    };
    let fate = orders.call(DEADLINE, ask).await?.fate();
    match fate {
        OrderFate::Unknown | OrderFate::Ended => {
            tracing::info!(order_id = %overdue.order_id, ?fate, "putting back the lines of an overdue checkout");
            store::abandon(pool, overdue.cart_id, overdue.order_id).await?;
        }
        // Placed: its event is on the way. Undecided: the saga is still at it.
        OrderFate::Placed | OrderFate::Undecided | OrderFate::Unspecified => {}
    }
    Ok(())
}
