//! The rhythm of a worker that looks for due rows.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Waits `pause`. `false` when the service is stopping: end.
pub async fn pause(token: &CancellationToken, pause: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => true,
        () = token.cancelled() => false,
    }
}
