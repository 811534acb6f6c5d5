//! Hears the commits that make work due, in this process or another.

use std::sync::Arc;

use sqlx::postgres::PgListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::{Store, WAKE_CHANNEL};

/// Wakes `wake` at each notification until `token` is cancelled. Holds one connection of the pool.
///
/// # Errors
/// The connection is lost; call it again. Meanwhile the sweep finds the work.
pub async fn listen(store: Store, wake: Arc<Notify>, token: CancellationToken) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(store.pool()).await?;
    listener.listen(WAKE_CHANNEL).await?;
    // What was committed before we listened was announced to nobody.
    wake.notify_one();
    loop {
        tokio::select! {
            heard = listener.recv() => {
                heard?;
                wake.notify_one();
            }
            () = token.cancelled() => return Ok(()),
        }
    }
}
