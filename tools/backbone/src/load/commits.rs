//! What an order costs the databases, counted by Postgres itself.
//!
//! A transaction takes an id when it first changes or locks a row; one that only reads takes none. So the ids handed out are
//! the write transactions, exactly and at once, whoever ran them (`pg_stat_database.xact_commit` would count every look at a
//! table too). Ids belong to a server, so they tell regions apart but not databases, and three kinds are in them that an order's
//! answer does not wait for: the relay's, which commit without waiting for the disk; those that were rolled back; and
//! housekeeping such as autovacuum's. What the same time costs without orders is taken off.
//!
//! Beside them stand the flushes of the write-ahead log: commits that wait at the same moment share one.

use std::iter::Sum;
use std::ops::Sub;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ids::Region;
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

/// An idle backend hands its counters over at the latest after ten seconds (`PGSTAT_IDLE_INTERVAL` in Postgres' pgstat.c);
/// before that a reading misses some flushes. Transaction ids need no such wait.
const COUNTERS_ARRIVE_WITHIN: Duration = Duration::from_secs(12);

/// What was counted, up to a moment or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Transaction ids handed out.
    pub write_transactions: f64,
    /// Times that the write-ahead log was flushed to the disk; `None` when the server does not say in `pg_stat_wal` (from
    /// version 18 on).
    pub log_flushes: Option<f64>,
}

impl Counts {
    fn each(self, other: Self, combine: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            write_transactions: combine(self.write_transactions, other.write_transactions),
            log_flushes: self.log_flushes.zip(other.log_flushes).map(|(one, other)| combine(one, other)),
        }
    }

    fn times(self, factor: f64) -> Self {
        self.each(self, |count, _| count * factor)
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        self.each(earlier, |later, earlier| later - earlier)
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.reduce(|one, other| one.each(other, |one, other| one + other)).unwrap_or_default()
    }
}

/// What one order cost, in both regions together, less what idling costs.
#[derive(Clone, Debug, Serialize)]
pub struct PerOrder {
    /// Transactions that changed or locked something.
    pub write_transactions: f64,
    /// Flushes of the write-ahead log, when the servers say.
    pub log_flushes: Option<f64>,
    /// Write transactions a second while no order is under way: these were taken off.
    pub idle_write_transactions_per_second: f64,
}

/// The superuser's URL of a region's Postgres, which `backbone up` keeps for those who look inside.
///
/// # Errors
/// The file is not there.
pub fn admin_url(run_dir: &Path, region: Region) -> anyhow::Result<String> {
    let file = run_dir.join(format!("secrets/postgres-{region}.url"));
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}; is the system up? (--no-ceiling does without)", file.display()))?;
    Ok(text.trim().to_owned())
}

/// Connects to a region's Postgres as its superuser.
///
/// # Errors
/// It cannot be reached.
pub async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    let options = url.parse::<PgConnectOptions>()?.disable_statement_logging();
    let connected = tokio::time::timeout(Duration::from_secs(5), options.connect()).await;
    connected.context("no answer from Postgres")?.context("cannot connect to Postgres")
}

/// Reads the counters of both regions once they are complete: nothing may be under way any more.
///
/// # Errors
/// A server cannot be asked.
pub async fn read_settled(run_dir: &Path) -> anyhow::Result<Counts> {
    tokio::time::sleep(COUNTERS_ARRIVE_WITHIN).await;
    let mut regions = Vec::with_capacity(Region::ALL.len());
    for region in Region::ALL {
        regions.push(read(&admin_url(run_dir, region)?).await?);
    }
    Ok(regions.into_iter().sum())
}

/// Reads the counters of one server, given its superuser's URL. The look itself takes no transaction id.
///
/// # Errors
/// It cannot be asked.
pub async fn read(url: &str) -> anyhow::Result<Counts> {
    let mut connection = connect(url).await?;
    // The snapshot's upper end is the next id to be handed out, once all that have one have ended; 64 bits, so it never wraps.
    // By way of JSON a column that this version of Postgres lacks is null, not an error.
    let (next_id, log_flushes): (i64, Option<i64>) = sqlx::query_as(
        "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint, (to_jsonb(pg_stat_wal) ->> 'wal_sync')::bigint
         from pg_stat_wal",
    )
    .fetch_one(&mut connection)
    .await?;
    connection.close().await?;
    Ok(Counts { write_transactions: next_id as f64, log_flushes: log_flushes.map(|flushes| flushes as f64) })
}

/// What one order cost: from the counts `before` and `after` a run of `orders` in `elapsed`, less what `idle` (the counts some
/// `idle_for` before `before`, with no orders between) says the same time costs anyway.
pub fn per_order(
    (idle, idle_for): (Counts, Duration),
    before: Counts,
    after: Counts,
    elapsed: Duration,
    orders: usize,
) -> PerOrder {
    let idle_per_second = (before - idle).times(1.0 / idle_for.as_secs_f64().max(0.001));
    let orders_cost = (after - before) - idle_per_second.times(elapsed.as_secs_f64());
    let one = orders_cost.times(1.0 / orders.max(1) as f64);
    PerOrder {
        write_transactions: one.write_transactions,
        log_flushes: one.log_flushes,
        idle_write_transactions_per_second: idle_per_second.write_transactions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn counts(write_transactions: f64, log_flushes: f64) -> Counts {
        Counts { write_transactions, log_flushes: Some(log_flushes) }
    }

    #[test]
    fn what_idling_costs_is_not_the_orders_fault() {
        let seconds = Duration::from_secs;
        let idle = (counts(0.0, 0.0), seconds(10));
        let one = per_order(idle, counts(50.0, 10.0), counts(650.0, 330.0), seconds(20), 100);
        assert!((one.idle_write_transactions_per_second - 5.0).abs() < 1e-9, "{one:?}");
        assert!((one.write_transactions - 5.0).abs() < 1e-9, "{one:?}");
        assert!((one.log_flushes.unwrap_or_default() - 3.0).abs() < 1e-9, "{one:?}");
    }

    #[test]
    fn regions_add_up_and_one_that_does_not_count_flushes_leaves_them_unknown() {
        assert_eq!([counts(1.0, 2.0), counts(3.0, 4.0)].into_iter().sum::<Counts>(), counts(4.0, 6.0));
        let silent = Counts { write_transactions: 3.0, log_flushes: None };
        assert_eq!(
            [counts(1.0, 2.0), silent].into_iter().sum::<Counts>(),
            Counts { write_transactions: 4.0, log_flushes: None }
        );
    }
}
