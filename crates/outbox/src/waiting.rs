//! Waits that end early when the service stops.

use std::time::Duration;

use chassis::retry::Backoff;
use tokio_util::sync::CancellationToken;

/// Waits before the next try, after `failures` failures in a row. Returns false when `token` was cancelled first.
pub(crate) async fn back_off(backoff: Backoff, failures: u32, token: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = token.cancelled() => false,
        () = tokio::time::sleep(backoff.delay_now(failures)) => true,
    }
}

/// Ends `grace` after `token` was cancelled: the other arm of a `select!` for work that may finish, but not hold up a
/// stop.
pub(crate) async fn stopped_for(grace: Duration, token: &CancellationToken) {
    token.cancelled().await;
    tokio::time::sleep(grace).await;
}
