//! Trimming the log of operations: what the other region has, and what no client repeats any more.

use std::time::Duration;

use ids::Region;
use replication::ReplicaId;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::store::StoreError;
use crate::store::replica;

/// How long a client may repeat a request and still get its first reply. The bff and `order` retry for a minute; a day is for people.
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How often to look.
const EVERY: Duration = Duration::from_secs(10);
/// Operations of one statement: some tens of milliseconds. At one per [`EVERY`] it is 400 a second, and more follow at once while there
/// are more.
const BATCH: i64 = 4_000;

/// Trims until `token` is cancelled. Nothing that `peer` has not acknowledged goes, however old it is.
///
/// # Errors
/// The first failure of the database; the next look starts anew.
pub async fn trim_log(pool: PgPool, peer: Region, token: CancellationToken) -> Result<(), StoreError> {
    let first = crdt::ReplicaId(peer.replica());
    loop {
        // It may have been given a new number.
        let replicas = [ReplicaId(replica::peer_number(&pool, first).await?.0)];
        let trimmed = replica::trim(&pool, &replicas, REMEMBERED_FOR, BATCH).await?;
        let pause = if trimmed < BATCH.unsigned_abs() { EVERY } else { Duration::ZERO };
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}
