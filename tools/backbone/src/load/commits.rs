//! What an order costs the databases, counted by Postgres itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ids::Region;
use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

/// An idle backend hands its counters over at the latest after ten seconds (`PGSTAT_IDLE_INTERVAL` in Postgres' pgstat.c);
/// before that a reading misses some.
const COUNTERS_ARRIVE_WITHIN: Duration = Duration::from_secs(12);

/// Commits of a service's database so far, over both regions.
pub type Counts = BTreeMap<String, i64>;

/// One service's part of an order.
#[derive(Clone, Debug, Serialize)]
pub struct PerOrder {
    /// Its database.
    pub service: String,
    /// Commits of one order, in both regions together, less what idling costs.
    pub commits_per_order: f64,
    /// Commits a second while no order is under way.
    pub idle_per_second: f64,
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
/// A database cannot be asked.
pub async fn read_settled(run_dir: &Path) -> anyhow::Result<Counts> {
    tokio::time::sleep(COUNTERS_ARRIVE_WITHIN).await;
    let mut counts = Counts::new();
    for region in Region::ALL {
        let mut connection = connect(&admin_url(run_dir, region)?).await?;
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "select datname::text, xact_commit from pg_stat_database
             where datname = any(array['cart', 'inventory', 'payment', 'order'])",
        )
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        for (service, commits) in rows {
            *counts.entry(service).or_default() += commits;
        }
    }
    Ok(counts)
}

/// What one order cost: from the counts `before` and `after` a run of `orders` in `elapsed`, less what `idle` (the commits of
/// `idle_for` without orders) says the same time costs anyway.
pub fn per_order(
    idle: (&Counts, Duration),
    before: &Counts,
    after: &Counts,
    elapsed: Duration,
    orders: usize,
) -> Vec<PerOrder> {
    let (idle, idle_for) = idle;
    let difference = |from: &Counts, to: &Counts, service: &str| {
        (to.get(service).copied().unwrap_or_default() - from.get(service).copied().unwrap_or_default()) as f64
    };
    after
        .keys()
        .map(|service| {
            let idle_per_second = difference(idle, before, service) / idle_for.as_secs_f64().max(0.001);
            let commits = difference(before, after, service) - idle_per_second * elapsed.as_secs_f64();
            let commits_per_order = commits / (orders.max(1) as f64);
            PerOrder { service: service.clone(), commits_per_order, idle_per_second }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_idling_costs_is_not_the_orders_fault() {
        let counts = |commits| Counts::from([("order".to_owned(), commits)]);
        let seconds = Duration::from_secs;
        let costs = per_order((&counts(0), seconds(10)), &counts(50), &counts(650), seconds(20), 100);
        assert!((costs[0].idle_per_second - 5.0).abs() < 1e-9);
        assert!((costs[0].commits_per_order - 5.0).abs() < 1e-9);
    }
}
