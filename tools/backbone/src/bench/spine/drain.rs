//! A long outbox: how fast the relay empties it, and how much room it then still takes.

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use sqlx::PgPool;
use tokio::time::Instant;

use super::flow;
use super::ground::Ground;
use super::worker::{Role, Worker};

/// Between two looks whether it is empty.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The slowest that is waited for, in rows a second.
const SLOWEST: u64 = 500;

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Drain {
    /// Rows at first.
    pub rows: i64,
    /// From the first row that was gone to the last.
    pub seconds: f64,
    /// The table with its indexes: full, just drained, and once vacuum has been there.
    pub full: Size,
    /// Just drained. Autovacuum may have been there by then.
    pub drained: Size,
    /// After `vacuum`, which is what autovacuum runs.
    pub vacuumed: Size,
}

/// In bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Size {
    /// Rows, and what belongs to them.
    pub table: i64,
    /// Both indexes.
    pub indexes: i64,
}

/// Fills the outbox and lets a relay empty it. None may run before.
///
/// # Errors
/// A server cannot be used, or it takes too long.
pub async fn measure(ground: &Ground, first: i64, rows: i64) -> anyhow::Result<Drain> {
    let pool = &ground.pool;
    // What went before leaves no trace in the sizes.
    sqlx::query("truncate outbox").execute(pool).await?;
    flow::append_at_once(ground, first, rows).await?;
    sqlx::query("vacuum (analyze) outbox").execute(pool).await?;
    let full = size(pool).await?;
    let relay = Worker::start(Role::Relay, ground)?;
    let deadline = Instant::now() + Duration::from_secs(30 + rows.unsigned_abs() / SLOWEST);
    let oldest =
        || async { sqlx::query_scalar::<_, Option<i64>>("select min(position) from outbox").fetch_one(pool).await };
    let first = oldest().await?;
    // Starting is not draining.
    while oldest().await? == first {
        anyhow::ensure!(Instant::now() < deadline, "the relay does not begin");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = Instant::now();
    while oldest().await?.is_some() {
        anyhow::ensure!(Instant::now() < deadline, "the outbox is not empty yet");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let drained = size(pool).await?;
    relay.stop().await?;
    sqlx::query("vacuum outbox").execute(pool).await?;
    Ok(Drain { rows, seconds, full, drained, vacuumed: size(pool).await? })
}

async fn size(pool: &PgPool) -> anyhow::Result<Size> {
    let (table, indexes) = sqlx::query_as("select pg_table_size('outbox'), pg_indexes_size('outbox')")
        .fetch_one(pool)
        .await
        .context("cannot ask for the size of the outbox")?;
    Ok(Size { table, indexes })
}
