//! Wakes the local lane when a transaction that appended events commits.

use std::sync::Arc;
use std::time::Duration;

use chassis::database::of_writers;
use chassis::retry::Backoff;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::waiting::back_off;

/// The channel that the trigger on `outbox` notifies. Channels belong to one database.
const CHANNEL: &str = "outbox";
/// For a connection to listen on.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// Listens until `token` is cancelled. Whatever is missed while the connection is away, the lane's sweep finds. After `condemned` it listens
/// on a new one: it would wait for a demoted server's notifications for ever, and is as old as the lane, whose session was asked.
pub(super) async fn listen(
    options: PgConnectOptions,
    wake: Arc<Notify>,
    condemned: Arc<Notify>,
    token: CancellationToken,
) {
    // A pool of one, its own: a listener keeps its connection for good. What it gives back, condemned, is not handed out again.
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT_DEADLINE);
    let pool = of_writers(pool).connect_lazy_with(options);
    let mut failures = 0;
    while !token.is_cancelled() {
        let outcome = tokio::select! {
            () = token.cancelled() => break,
            outcome = forward(&pool, &wake, &mut failures) => outcome,
            () = condemned.notified() => continue,
        };
        if let Err(error) = outcome {
            failures += 1;
            tracing::warn!(%error, failures, "not listening for appended events, sweeping instead");
            back_off(BACKOFF, failures, &token).await;
        }
    }
}

/// Passes notifications on until the connection is lost.
async fn forward(pool: &sqlx::PgPool, wake: &Notify, failures: &mut u32) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    *failures = 0;
    // Rows may have been appended before we listened.
    wake.notify_one();
    while listener.try_recv().await?.is_some() {
        wake.notify_one();
    }
    Ok(())
}
