//! A feed of changes that somebody's transaction keeps from beginning. Alone in its process, as the condition is the process's, and the
//! transaction holds up the feeds of all databases.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use std::time::Duration;

use cart::changes::Watchers;
use chassis::conditions;
use sqlx::{Connection as _, PgConnection, PgPool};
use support::Shopper;
use support::process::{Process, within};

const PART: &str = "feed/cart-changes";

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_transaction_of_another_database_that_holds_up_the_feed_is_named(pool: PgPool) {
    let options = pool.connect_options().as_ref().clone().database("postgres");
    let mut elsewhere = PgConnection::connect_with(&options).await.unwrap();
    let mut open = elsewhere.begin().await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *open).await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *open).await.unwrap();

    let shopper = Shopper::new(pool.clone()).await;
    let watchers = Watchers::default();
    let _process = Process::build(&shopper, None, &shopper.pool, watchers.clone());
    within(Duration::from_secs(30), "it is said why", async || conditions::of(PART).is_some()).await;
    let why = conditions::of(PART).unwrap();
    assert!(why.contains(&format!("process {pid} in database postgres since ")), "{why}");
    assert!(!watchers.hear());

    open.rollback().await.unwrap();
    within(Duration::from_secs(20), "the feed goes on", async || watchers.hear()).await;
    within(Duration::from_secs(1), "all is well", async || conditions::of(PART).is_none()).await;
}
