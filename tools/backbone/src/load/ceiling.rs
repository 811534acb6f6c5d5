//! What both regions' Postgres could do at best: pgbench, in a database of its own, in the same run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use ids::Region;
use serde::Serialize;
use sqlx::{Connection, Executor};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::commits::{admin_url, connect};

/// How long the measurement lasts.
const LASTS: Duration = Duration::from_secs(10);
/// pgbench that does not end by itself is stopped after so much longer.
const GRACE: Duration = Duration::from_secs(20);
const DATABASE: &str = "backbone_ceiling";
/// Where Debian keeps the versions of PostgreSQL.
const DEBIAN: &str = "/usr/lib/postgresql";

/// An order and its event in one transaction: the least that placing an order can be.
const SCHEMA: &str = "
create table placed_order (order_id uuid primary key, state text not null, total_minor bigint not null, lines text not null);
create table outbox (id uuid primary key, aggregateid uuid not null, type text not null, payload text not null);";
const TRANSACTION: &str = "\
begin;
insert into placed_order values (gen_random_uuid(), 'placed', 1000, repeat('x', 300));
insert into outbox values (gen_random_uuid(), gen_random_uuid(), 'order.placed.v1', repeat('x', 200));
commit;
";

/// Commits a second of both regions at once.
#[derive(Clone, Debug, Serialize)]
pub struct Ceiling {
    /// Database clients in each region.
    pub clients: u16,
    /// Region east.
    pub east_commits_per_second: f64,
    /// Region west.
    pub west_commits_per_second: f64,
}

impl Ceiling {
    /// Orders a second that both regions could place if an order cost so many write transactions, each as much as one of
    /// pgbench's, and nothing else cost anything.
    pub fn orders_per_second(&self, write_transactions_of_one: f64) -> f64 {
        (self.east_commits_per_second + self.west_commits_per_second) / write_transactions_of_one
    }
}

/// Measures both regions at the same time: they share a machine's disk and cores under the load too.
///
/// # Errors
/// There is no pgbench, or a database cannot be used.
pub async fn measure(run_dir: &Path, clients: u16) -> anyhow::Result<Ceiling> {
    let (east, west) = (admin_url(run_dir, Region::East)?, admin_url(run_dir, Region::West)?);
    let (east, west) = tokio::join!(measure_one(&east, clients, LASTS), measure_one(&west, clients, LASTS));
    Ok(Ceiling { clients, east_commits_per_second: east?, west_commits_per_second: west? })
}

/// On the path, or where Debian puts it, newest version first.
///
/// # Errors
/// It is in neither.
pub fn find_pgbench() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("pgbench"));
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut debian: Vec<PathBuf> = versions.map(|version| version.path().join("bin/pgbench")).collect();
    debian.sort_unstable_by(|a, b| b.cmp(a));
    on_path
        .chain(debian)
        .find(|file| file.is_file())
        .context("there is no pgbench; it comes with PostgreSQL (--no-ceiling does without)")
}

/// Commits a second of one server, given its superuser's URL; `lasts` is in whole seconds.
///
/// # Errors
/// As [`measure`].
pub async fn measure_one(url: &str, clients: u16, lasts: Duration) -> anyhow::Result<f64> {
    let pgbench = find_pgbench()?;
    let mut admin = connect(url).await?;
    // Left behind by a run that was killed.
    admin.execute("drop database if exists backbone_ceiling with (force)").await?;
    admin.execute("create database backbone_ceiling").await?;
    let measured = in_database(&pgbench, url, clients, lasts).await;
    admin.execute("drop database backbone_ceiling with (force)").await?;
    admin.close().await?;
    measured
}

async fn in_database(pgbench: &Path, url: &str, clients: u16, lasts: Duration) -> anyhow::Result<f64> {
    let mut url: reqwest::Url = url.parse().context("the address of Postgres is not a URL")?;
    url.set_path(DATABASE);
    let mut connection = connect(url.as_str()).await?;
    connection.execute(SCHEMA).await?;
    connection.close().await?;

    let mut command = Command::new(pgbench);
    command
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=1"])
        .arg(format!("--client={clients}"))
        .arg(format!("--time={}", lasts.as_secs()))
        .arg("--file=-")
        // In the environment, where other users cannot read it.
        .env("PGPASSWORD", url.password().unwrap_or_default())
        .env("PGUSER", url.username())
        .env("PGHOST", url.host_str().unwrap_or_default())
        .env("PGPORT", url.port().unwrap_or(5432).to_string())
        .env("PGDATABASE", DATABASE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().context("cannot run pgbench")?;
    if let Some(mut script) = child.stdin.take() {
        script.write_all(TRANSACTION.as_bytes()).await?;
    }
    let output = tokio::time::timeout(lasts + GRACE, child.wait_with_output());
    let output = output.await.context("pgbench did not end")??;
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "pgbench failed: {}", complaint.trim());
    commits_per_second(&String::from_utf8_lossy(&output.stdout)).context("pgbench printed no rate")
}

/// Reads `tps = 1234.5 (without initial connection time)`.
fn commits_per_second(output: &str) -> Option<f64> {
    let line = output.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_read_from_what_pgbench_prints() {
        let output = "latency average = 1.3 ms\ntps = 6064.253310 (without initial connection time)\n";
        assert_eq!(commits_per_second(output), Some(6064.253310));
        assert_eq!(commits_per_second("nothing"), None);
    }
}
