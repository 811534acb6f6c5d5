//! Shows how much is parked, so that somebody is called.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};

/// Far shorter than anybody needs to get up; two counts over all but empty indexes.
const INTERVAL: Duration = Duration::from_secs(10);

/// Sets the gauge `payments_parked` until `token` is cancelled. What is parked stays so over restarts, which a counter would not show.
///
/// # Errors
/// [`StoreError`]; supervision starts again.
pub async fn watch_parked(store: Store, token: CancellationToken) -> Result<(), StoreError> {
    while !token.is_cancelled() {
        let (payments, refunds) = store.parked_count().await?;
        for (duty, count) in [("payment", payments), ("refund", refunds)] {
            #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53")]
            metrics::gauge!("payments_parked", "duty" => duty).set(count as f64);
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = token.cancelled() => {}
        }
    }
    Ok(())
}
