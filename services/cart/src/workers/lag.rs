//! Tells how far the other region is behind, and what holds it back.

use std::time::Duration;

use ids::Region;
use replication::ReplicaId;
use sqlx::PgPool;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::StoreError;
use crate::store::replica::{self, Holder};

/// How often to look: one entry of the log, and the list of processes.
const EVERY: Duration = Duration::from_secs(5);
/// An operation travels within a second; older than this, somebody should know why.
const NOTABLE: Duration = Duration::from_secs(10);
/// How often the same is said again.
const AGAIN: Duration = Duration::from_secs(60);

/// Sets the gauges `cart_replication_lag_seconds` (the age of the oldest own operation that `peer` has not acknowledged) and
/// `cart_replication_held_back` (whether a transaction of this database keeps the log from being read further) until `token` is cancelled.
///
/// # Errors
/// The first failure of the database; the next look starts anew.
pub async fn watch_lag(pool: PgPool, peer: Region, token: CancellationToken) -> Result<(), StoreError> {
    let mut said: Option<Instant> = None;
    loop {
        let peer = replica::peer_number(&pool, crdt::ReplicaId(peer.replica())).await?;
        let lag = replica::lag(&pool, ReplicaId(peer.0)).await?;
        metrics::gauge!("cart_replication_lag_seconds").set(lag.behind.as_secs_f64());
        let held_back = lag.held_by.is_some() && lag.behind > NOTABLE;
        metrics::gauge!("cart_replication_held_back").set(f64::from(u8::from(held_back)));
        if lag.behind > NOTABLE && said.is_none_or(|at| at.elapsed() >= AGAIN) {
            said = Some(Instant::now());
            let behind_s = lag.behind.as_secs();
            match &lag.held_by {
                Some(Holder { pid, since }) => tracing::warn!(
                    behind_s,
                    pid,
                    since = since.map(|since| since.to_rfc3339()),
                    "carts do not reach the other region: a transaction in this database is open, and may yet write before them"
                ),
                None => tracing::warn!(behind_s, "carts do not reach the other region: it is away, or slow"),
            }
        } else if lag.behind <= NOTABLE && said.take().is_some() {
            tracing::info!("carts reach the other region again");
        }
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
