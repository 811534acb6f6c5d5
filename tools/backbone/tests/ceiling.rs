//! The ceiling and the cost of an order on a real Postgres: pgbench runs, its rate is read, and its database is gone afterwards;
//! write transactions are counted.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

use std::time::Duration;

use backbone::load::{ceiling, commits};
use sqlx::Executor;

#[tokio::test]
async fn the_ceiling_is_measured_and_leaves_nothing_behind() {
    let url =
        std::env::var("DATABASE_URL").expect("DATABASE_URL must name a Postgres superuser; `make test` starts one");
    let rate = ceiling::measure_one(&url, 4, Duration::from_secs(1)).await.unwrap();
    assert!(rate > 10.0, "{rate} commits/s");
    let mut connection = commits::connect(&url).await.unwrap();
    let left = connection.fetch_all("select 1 from pg_database where datname = 'backbone_ceiling'").await.unwrap();
    assert!(left.is_empty());
}

/// Other tests use the same server at the same time, so there may be more.
#[tokio::test]
async fn a_transaction_that_writes_is_counted_also_when_it_writes_almost_nothing() {
    let url =
        std::env::var("DATABASE_URL").expect("DATABASE_URL must name a Postgres superuser; `make test` starts one");
    let before = commits::read(&url).await.unwrap();
    let mut connection = commits::connect(&url).await.unwrap();
    connection.execute("create temporary table counted (number int)").await.unwrap();
    for _ in 0..10 {
        connection.execute("insert into counted values (1)").await.unwrap();
    }
    let counted = commits::read(&url).await.unwrap() - before;
    assert!(counted.write_transactions >= 11.0, "{counted:?}");
}
