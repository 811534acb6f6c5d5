//! Settles what two regions made of one request: tells owners' homes of orders that were decided in their stead, and undoes orders
//! that are superseded. Both queues are empty but after a cut of the link.
//!
//! No order keeps another waiting: what is taken from a queue has its next look set already, and what fails is logged and passed over.

use std::time::Duration;

use ids::OrderId;
use tokio_util::sync::CancellationToken;

use crate::sagas::one_intention::OneIntention;
use crate::store::{Store, StoreError};

/// Between two looks: an index scan of two empty queues.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Orders of one look.
const BATCH_MAX: i64 = 50;

/// Works until `token` is cancelled.
///
/// # Errors
/// [`StoreError`] of the database as a whole; supervision starts again.
pub async fn run(store: &Store, intentions: &OneIntention, token: CancellationToken) -> Result<(), StoreError> {
    while !token.is_cancelled() {
        tell_homes(store, intentions, &token).await?;
        undo_superseded(store, intentions, &token).await?;
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = token.cancelled() => {}
        }
    }
    Ok(())
}

async fn tell_homes(store: &Store, intentions: &OneIntention, token: &CancellationToken) -> Result<(), StoreError> {
    for taken in store.take_untold(BATCH_MAX).await? {
        if token.is_cancelled() {
            break;
        }
        match taken {
            Ok(untold) => pass_over(untold.order, intentions.tell_home(&untold).await)?,
            // It names the order.
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "an order to tell of is unreadable")
            }
        }
    }
    Ok(())
}

async fn undo_superseded(
    store: &Store,
    intentions: &OneIntention,
    token: &CancellationToken,
) -> Result<(), StoreError> {
    for (order, by) in store.take_superseded(BATCH_MAX).await? {
        if token.is_cancelled() {
            break;
        }
        pass_over(order, intentions.undo(order, by).await)?;
    }
    Ok(())
}

/// A failure of one order is that order's alone: its next look comes. A database that is away is no one's alone.
fn pass_over(order: OrderId, settled: Result<(), StoreError>) -> Result<(), StoreError> {
    match settled {
        Err(error) if !error.is_outage() => {
            tracing::error!(order_id = %order, error = &error as &dyn std::error::Error, "one of two orders of a request is not settled");
            Ok(())
        }
        settled => settled,
    }
}
