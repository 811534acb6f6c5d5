//! The log of operations that a region ships: what of it may be read, and what may be trimmed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use std::time::Duration;

use ids::CartId;
use replication::{Position, ReplicaId};
use sqlx::PgPool;
use support::regions::{Regions, eventually};
use support::{Shopper, units};

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn nothing_is_trimmed_that_the_other_region_does_not_have(pool: PgPool) {
    use cart::store::replica::{acknowledged, read_log, trim};

    let mut regions = Regions::new(pool).await;
    let east = regions.east.shopper.clone();
    east.add("1", "offer-1", 2).await;
    east.add("2", "offer-1", 2).await;
    let peer = [ReplicaId(2)];
    assert_eq!(trim(&east.pool, &peer, Duration::ZERO, 100).await.unwrap(), 0, "nobody has acknowledged anything");

    let mut connection = east.pool.acquire().await.unwrap();
    let log = read_log(&mut connection, east.replica.id(), Position::START, 2, usize::MAX).await.unwrap();
    acknowledged(&east.pool, peer[0], log.through).await.unwrap();
    assert_eq!(trim(&east.pool, &peer, Duration::ZERO, 100).await.unwrap(), 2);
    let left = read_log(&mut connection, east.replica.id(), log.through, 100, usize::MAX).await.unwrap();
    assert_eq!((left.operations.len(), left.trimmed), (1, log.through));
    drop(connection);
    // The other region never had the trimmed ones; it is told of the whole cart instead.
    regions.connect();
    regions.converge().await;
    assert_eq!(units(&regions.west.shopper.get().await), [("offer-1", 4)]);
}

/// A transaction that commits late must not leave a hole behind it.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn the_log_is_read_no_further_than_the_oldest_running_transaction(pool: PgPool) {
    use cart::store::replica::read_log;

    let regions = Regions::new(pool).await;
    let east = regions.east.shopper.clone();
    let mut late = east.pool.begin().await.unwrap();
    sqlx::query("insert into cart_operation values ($1, 'late', '', '', '')")
        .bind(east.cart_id.parse::<CartId>().unwrap().as_uuid())
        .execute(&mut *late)
        .await
        .unwrap();
    east.add("1", "offer-1", 2).await;
    let mut connection = east.pool.acquire().await.unwrap();
    let keys = |log: &cart::store::replica::Log| {
        log.operations.iter().map(|(_, operation)| operation.key.clone()).collect::<Vec<_>>()
    };
    let log = read_log(&mut connection, east.replica.id(), Position::START, 100, usize::MAX).await.unwrap();
    assert_eq!(keys(&log), ["created"], "not what committed after the one that still runs began");
    late.commit().await.unwrap();
    let log = read_log(&mut connection, east.replica.id(), log.through, 100, usize::MAX).await.unwrap();
    assert_eq!(keys(&log), ["late", "client:1"]);
}

/// A transaction of another database can never write carts, however long somebody leaves it open there.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_transaction_in_another_database_holds_nothing_back(pool: PgPool) {
    use cart::store::replica::{horizon, lag, read_log};

    let mut regions = Regions::new(pool).await;
    let (east, west) = (&regions.east.shopper, &regions.west.shopper);
    let mut elsewhere = west.pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *elsewhere).await.unwrap();
    east.add("1", "offer-1", 2).await;
    let mut connection = east.pool.acquire().await.unwrap();
    assert_eq!(horizon(&mut connection).await.unwrap().held_by, None);
    let log = read_log(&mut connection, regions.east.replica.id(), Position::START, 100, usize::MAX).await.unwrap();
    assert_eq!(log.operations.len(), 2, "the creation and the add");
    let west_replica = ReplicaId(regions.west.replica.id().0);
    assert!(!lag(&east.pool, west_replica).await.unwrap().behind.is_zero());
    drop(connection);
    regions.connect();
    let arrived = async || units(&regions.west.shopper.get().await) == [("offer-1", 2)];
    eventually("the add has arrived", arrived).await;
    let caught_up = async || lag(&regions.east.shopper.pool, west_replica).await.unwrap().behind.is_zero();
    eventually("it is known to have arrived", caught_up).await;
    elsewhere.rollback().await.unwrap();
}

/// One of this database may yet write, with the number it took first: what is committed after it waits, and it is named.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_transaction_that_may_yet_append_holds_the_log_back_and_is_named(pool: PgPool) {
    use cart::store::replica::{horizon, read_log};

    let east = Shopper::new(pool).await;
    let mut connection = east.pool.acquire().await.unwrap();
    let mut open = east.pool.begin().await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *open).await.unwrap();
    sqlx::query("select pg_current_xact_id()").execute(&mut *open).await.unwrap();
    east.add("1", "offer-1", 2).await;
    let held_by = horizon(&mut connection).await.unwrap().held_by.unwrap();
    assert_eq!(held_by.pid, Some(pid));
    assert!(held_by.since.is_some());
    let log = read_log(&mut connection, east.replica.id(), Position::START, 100, usize::MAX).await.unwrap();
    assert_eq!(log.operations.len(), 1, "the creation alone, which is older");
    open.commit().await.unwrap();
    let log = read_log(&mut connection, east.replica.id(), log.through, 100, usize::MAX).await.unwrap();
    assert_eq!(log.operations.len(), 1);
}

/// Writers of all lengths, transactions that end while the horizon is looked for, and a reader that never rests: nothing is skipped.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_reader_beside_many_writers_skips_nothing(pool: PgPool) {
    use cart::store::replica::read_log;

    const WRITERS: u64 = 6;
    const EACH: u64 = 60;
    let east = Shopper::new(pool.clone()).await;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(10)
        .connect_with(pool.connect_options().as_ref().clone())
        .await
        .unwrap();
    let cart: uuid::Uuid = east.cart_id.parse().unwrap();
    let writer = |nth: u64| {
        let pool = pool.clone();
        async move {
            for at in 0..EACH {
                let mut transaction = pool.begin().await.unwrap();
                // It has its number now, and writes under it later than others that took theirs after it.
                sqlx::query("select pg_current_xact_id()").execute(&mut *transaction).await.unwrap();
                tokio::time::sleep(Duration::from_millis((nth * 7 + at * 3) % 11)).await;
                sqlx::query("insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta) values ($1, $2, '', '', '')")
                    .bind(cart)
                    .bind(format!("client:{nth}-{at}"))
                    .execute(&mut *transaction)
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
            }
        }
    };
    let writers = futures::future::join_all((0..WRITERS).map(writer));
    let reader = async {
        let mut connection = pool.acquire().await.unwrap();
        let (mut after, mut read) = (Position::START, 0);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while read < WRITERS * EACH + 1 {
            assert!(tokio::time::Instant::now() < deadline, "{read} were read, the others were skipped");
            let log = read_log(&mut connection, east.replica.id(), after, 50, usize::MAX).await.unwrap();
            read += log.operations.len() as u64;
            after = log.through;
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(writers, reader);
}
