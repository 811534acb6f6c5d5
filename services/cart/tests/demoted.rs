//! A database whose server was demoted and lives: what only reads is not told by any error.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use std::time::Duration;

use cart::changes::Watchers;
use cart::replication::ship::{peer, ship};
use cart::store::StoreError;
use cart::store::replica::horizon;
use chassis::client::Dependency;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use support::process::{Process, within};
use support::regions::{Regions, eventually};
use support::{Shopper, units};
use tokio_util::sync::CancellationToken;

/// Sessions of this pool believe that they are on a standby when they were opened before the moment that [`demote`] sets: a function of
/// the same name stands before Postgres' own.
async fn demotable(pool: &PgPool) -> PgPool {
    sqlx::raw_sql(
        "create schema demoted;
         create table demoted.since (at timestamptz not null);
         create function demoted.pg_is_in_recovery() returns boolean language sql as
             'select exists (
                  select from demoted.since s, pg_stat_activity a where a.pid = pg_backend_pid() and a.backend_start < s.at
              )';",
    )
    .execute(pool)
    .await
    .unwrap();
    let options = pool.connect_options().as_ref().clone().options([("search_path", "demoted,public,pg_catalog")]);
    PgPoolOptions::new().max_connections(4).connect_with(options).await.unwrap()
}

async fn demote(pool: &PgPool) {
    sqlx::query("insert into demoted.since select clock_timestamp()").execute(pool).await.unwrap();
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn on_a_standby_there_is_no_horizon(pool: PgPool) {
    let demotable = demotable(&pool).await;
    let mut connection = demotable.acquire().await.unwrap();
    horizon(&mut connection).await.unwrap();
    demote(&pool).await;
    assert!(matches!(horizon(&mut connection).await, Err(StoreError::Standby)));
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn shipping_ends_when_its_server_is_demoted_and_the_next_one_ships(pool: PgPool) {
    let regions = Regions::new(demotable(&pool).await).await;
    let (east, west) = (&regions.east, &regions.west);
    let token = CancellationToken::new();
    let start = || {
        let to = Dependency::new("peer-cart", west.url(), peer()).unwrap();
        tokio::spawn(ship(east.shopper.pool.clone(), to, east.replica.clone(), token.clone()))
    };
    let first = start();
    east.shopper.add("1", "offer-1", 1).await;
    eventually("the add has arrived", async || units(&west.shopper.get().await) == [("offer-1", 1)]).await;
    demote(&pool).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), first).await.expect("it ends by itself").unwrap();
    let Err(StoreError::Database(error)) = ended else { panic!("{ended:?}") };
    assert!(chassis::database::condemns(&error), "{error}");
    let next = start();
    east.shopper.add("2", "offer-1", 1).await;
    eventually("the next add has arrived", async || units(&west.shopper.get().await) == [("offer-1", 2)]).await;
    token.cancel();
    next.await.unwrap().unwrap();
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn the_change_feed_leaves_a_demoted_server(pool: PgPool) {
    let demotable = demotable(&pool).await;
    let shopper = Shopper::new(pool.clone()).await;
    let process = Process::build(&shopper, None, &demotable, Watchers::default());
    drop(process.watch(&shopper).await);
    let sender = async || -> Option<i32> {
        sqlx::query_scalar("select active_pid from pg_replication_slots where database = current_database() and active")
            .fetch_optional(&pool)
            .await
            .unwrap()
    };
    let before = sender().await;
    assert!(before.is_some());
    demote(&pool).await;
    within(Duration::from_secs(20), "another connection is heard", async || {
        let now = sender().await;
        now.is_some() && now != before
    })
    .await;
    drop(process.watch(&shopper).await);
}
