//! Ships what is due.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};

/// Orders of one transaction. More would hold the row locks, for which a cancel waits, longer than some 20 ms.
const BATCH_MAX: usize = 100;
/// Batches are at least this far apart, so that a stream of orders shares commits: at 200 orders a second, ten commits and not
/// two hundred.
const BATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Ships due orders in batches until `token` is cancelled. `delay` is that of scheduling.
///
/// It sleeps until the next order is due and needs no wake-up: what is scheduled while it sleeps is due `delay` later, so a
/// sleep of at most `delay` misses nothing.
///
/// # Errors
/// [`StoreError`]; what was due is still due.
pub async fn ship(store: &Store, delay: Duration, token: CancellationToken) -> Result<(), StoreError> {
    while !token.is_cancelled() {
        let shipped = store.ship_due(BATCH_MAX).await?;
        metrics::counter!("orders_shipped_total").increment(shipped as u64);
        if shipped == BATCH_MAX {
            continue;
        }
        let pause = store.next_shipment_in().await?.unwrap_or(delay).min(delay).max(BATCH_INTERVAL);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = token.cancelled() => {}
        }
    }
    Ok(())
}
