//! Checkouts whose order service died before it stored the order: ask for the order's fate, and put the lines back if it has none.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use chassis::client::Dependency;
use contracts::order::v1::order_service_client::OrderServiceClient;
use contracts::order::v1::{GetOrderFateRequest, OrderFate};
use crdt::ReplicaId;
use ids::OrderId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::store::{self, Overdue, StoreError};

/// An order request lives at most a minute, so after five an order that is still unknown will never be stored. Nothing depends on it:
/// were it stored after all, its event would consume the abandoned cut.
const OVERDUE_AFTER: Duration = Duration::from_secs(300);
/// How often to look.
const EVERY: Duration = Duration::from_secs(30);
/// Checkouts taken at a time; a look goes on until none is left to be looked at.
const BATCH: i64 = 100;
/// Longest call.
const DEADLINE: Duration = Duration::from_secs(2);

/// Why a checkout was not settled.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// The order's fate is not known.
    #[error("the order service did not tell the order's fate")]
    Fate(#[source] Box<Status>),
    /// The lines could not be put back.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Unsettled {
    /// Whether it would be the same with any other checkout.
    fn is_outage(&self) -> bool {
        match self {
            Self::Fate(status) => {
                let code = status.code();
                matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted)
            }
            Self::Store(error) => error.is_outage(),
        }
    }
}

/// Who knows what became of orders.
pub trait Orders: Send + Sync + 'static {
    /// The order's fate.
    ///
    /// # Errors
    /// What the order service says.
    fn fate(&self, order_id: OrderId) -> impl Future<Output = Result<OrderFate, Status>> + Send;
}

/// The order service of this region, over gRPC.
impl Orders for Dependency {
    async fn fate(&self, order_id: OrderId) -> Result<OrderFate, Status> {
        let request = GetOrderFateRequest { order_id: order_id.to_string() };
        let ask = |channel| {
            let request = request.clone();
            async move { OrderServiceClient::new(channel).get_order_fate(request).await }
        };
        Ok(self.call(DEADLINE, ask).await?.fate())
    }
}

/// Looks for overdue checkouts until `token` is cancelled.
///
/// # Errors
/// A failure of the database, or of the order service, as a whole; nothing is lost, the next look goes on. An order that it cannot tell
/// the fate of holds up no other.
pub async fn settle_overdue_checkouts<O: Orders>(
    pool: PgPool,
    orders: O,
    replica: ReplicaId,
    token: CancellationToken,
) -> Result<(), Unsettled> {
    loop {
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        settle_due(&pool, &orders, replica, &token).await?;
    }
}

/// Asks about all that is to be looked at now. What is in the way of one checkout, here or there, holds up no other: it is looked at
/// again later.
///
/// # Errors
/// [`Unsettled`], when it would be the same with every other.
pub async fn settle_due<O: Orders>(
    pool: &PgPool,
    orders: &O,
    replica: ReplicaId,
    token: &CancellationToken,
) -> Result<(), Unsettled> {
    loop {
        let taken = store::take_overdue(pool, OVERDUE_AFTER, BATCH).await?;
        let is_last = i64::try_from(taken.len()).unwrap_or(i64::MAX) < BATCH;
        for overdue in taken {
            if token.is_cancelled() {
                return Ok(());
            }
            match settle(pool, orders, replica, overdue).await {
                Ok(()) => {}
                Err(error) if error.is_outage() => return Err(error),
                Err(error) => {
                    let error: &dyn Error = &error;
                    tracing::error!(order_id = %overdue.order_id, error, "an overdue checkout stays as it is");
                }
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn settle<O: Orders>(pool: &PgPool, orders: &O, replica: ReplicaId, overdue: Overdue) -> Result<(), Unsettled> {
    let fate = orders.fate(overdue.order_id).await.map_err(|status| Unsettled::Fate(Box::new(status)))?;
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
