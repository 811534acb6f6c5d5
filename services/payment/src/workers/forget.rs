//! Forgets old webhook events.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::{Store, StoreError};

/// Longer than a provider goes on delivering an event (Stripe: three days). One that comes later still is a hint, no more.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How often to look.
const EVERY: Duration = Duration::from_secs(3_600);
/// Rows of one statement: a few milliseconds.
const BATCH: i64 = 1_000;

/// Deletes what is old, in small statements, every hour until `token` is cancelled.
///
/// # Errors
/// [`StoreError::Database`]; call it again.
pub async fn forget_webhooks(store: Store, token: CancellationToken) -> Result<(), StoreError> {
    loop {
        while store.forget_webhooks(REMEMBERED, BATCH).await? > 0 && !token.is_cancelled() {}
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = token.cancelled() => return Ok(()),
        }
    }
}
