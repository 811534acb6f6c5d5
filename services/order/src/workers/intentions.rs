//! Settles what two regions made of one request: tells owners' homes of orders that were decided in their stead, and undoes orders
//! that are superseded. Both queues are empty but after a cut of the link.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::sagas::one_intention::OneIntention;
use crate::store::{Store, StoreError};

/// Between two looks: an index scan of two empty queues.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Orders of one look; each sets the time of its next look, so that none keeps others waiting.
const BATCH_MAX: i64 = 50;

/// Works until `token` is cancelled.
///
/// # Errors
/// [`StoreError`]; supervision starts again.
pub async fn run(store: &Store, intentions: &OneIntention, token: CancellationToken) -> Result<(), StoreError> {
    while !token.is_cancelled() {
        for told in store.to_tell(BATCH_MAX).await? {
            intentions.tell_home(&told).await?;
        }
        for (order, by) in store.to_undo(BATCH_MAX).await? {
            intentions.undo(order, by).await?;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = token.cancelled() => {}
        }
    }
    Ok(())
}
