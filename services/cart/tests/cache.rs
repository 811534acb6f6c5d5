//! The read cache, on a real database and a real Redis: fast while all is well, and never stale, whatever is not.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use std::time::{Duration, Instant};

use cart::cache::CartReader;
use cart::changes::Watchers;
use contracts::cart::v1::GetCartRequest;
use contracts::cart::v1::cart_service_server::CartService as _;
use futures::future::join_all;
use sqlx::PgPool;
use support::Shopper;
use support::link::Link;
use support::process::{Process, RedisDb, empty_by_hand, redis_address, within};
use tonic::{Code, Request};
use uuid::Uuid;

/// From the commit by hand to what a reader sees.
const AT_ONCE: Duration = Duration::from_secs(1);

async fn two_processes(pool: PgPool) -> (Shopper, RedisDb, Process, Process) {
    let shopper = Shopper::new(pool).await;
    shopper.add("first", "offer-1", 1).await;
    let redis = RedisDb::new().await;
    let (one, other) = (Process::start(&shopper, &redis).await, Process::start(&shopper, &redis).await);
    // The second one's start put out of reach what the first one knew.
    one.uses_cache(&shopper).await;
    (shopper, redis, one, other)
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_cart_is_loaded_once_for_all_processes(pool: PgPool) {
    let (shopper, _redis, one, other) = two_processes(pool).await;
    let loads = || one.reader.loads() + other.reader.loads();
    let before = loads();
    for _ in 0..20 {
        assert_eq!((one.units(&shopper).await, other.units(&shopper).await), (1, 1));
    }
    assert_eq!(loads(), before);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_cached_cart_is_not_shown_to_another_session(pool: PgPool) {
    let (shopper, _redis, one, _other) = two_processes(pool).await;
    let request = GetCartRequest { cart_id: shopper.cart_id.clone(), owner_id: Uuid::now_v7().to_string() };
    let before = one.reader.loads();
    let refused = one.service.get_cart(Request::new(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    assert_eq!(one.reader.loads(), before, "it was refused on what the cache said");
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn what_was_written_in_one_process_is_read_at_once_in_the_other(pool: PgPool) {
    let (shopper, _redis, one, other) = two_processes(pool).await;
    for added in 1..=100 {
        // Read in between, so that there is something to be stale.
        other.get(&shopper).await;
        one.add(&shopper, &format!("add-{added}"), 1).await;
        assert_eq!(other.units(&shopper).await, 1 + added);
    }
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_change_by_hand_shows_at_once(pool: PgPool) {
    let (shopper, _redis, one, other) = two_processes(pool).await;
    empty_by_hand(&shopper, "local").await;
    within(AT_ONCE, "both show the change", async || {
        one.units(&shopper).await == 0 && other.units(&shopper).await == 0
    })
    .await;
    one.uses_cache(&shopper).await;
}

/// A deleted checkout's key does not name its cart, so any cart may have changed.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_checkout_deleted_by_hand_shows_at_once(pool: PgPool) {
    let (shopper, _redis, one, _other) = two_processes(pool).await;
    shopper.checkout("order", &shopper.get().await.version).await.unwrap();
    within(AT_ONCE, "the checkout hides the line", async || one.units(&shopper).await == 0).await;
    one.uses_cache(&shopper).await;
    sqlx::raw_sql("begin; set local synchronous_commit = local; delete from cart_checkout; commit")
        .execute(&shopper.pool)
        .await
        .unwrap();
    within(AT_ONCE, "the line is back", async || one.units(&shopper).await == 1).await;
}

/// A table that a visible cart is made of and that is not followed would leave the cache stale. Those not followed are not shown.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn every_table_about_carts_is_followed_or_known_not_to_be_shown(pool: PgPool) {
    const NOT_SHOWN: [&str; 2] = ["cart_mend", "cart_operation"];
    let silent: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.columns
         where table_schema = 'public' and column_name = 'cart_id'
             and table_name not in (select tablename from pg_publication_tables where pubname = 'cart_changes')
         order by 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(silent, NOT_SHOWN);
}

/// Reads the cart 1,000 times at once, half from each reader. Returns the loads that took.
async fn stampede(shopper: &Shopper, readers: [&CartReader; 2]) -> u64 {
    let cart_id = shopper.cart_id.parse().unwrap();
    let loads = || readers.iter().map(|reader| reader.loads()).sum::<u64>();
    let before = loads();
    let reads = (0..1_000).map(|number| {
        let reader = readers[number % 2].clone();
        tokio::spawn(async move { reader.read(cart_id).await.unwrap().unwrap() })
    });
    let reads: Vec<_> = join_all(reads).await.into_iter().map(Result::unwrap).collect();
    assert!(reads.iter().all(|read| read.cart == reads[0].cart));
    loads() - before
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_stampede_on_an_evicted_cart_is_fewer_than_ten_loads(pool: PgPool) {
    let (shopper, _redis, one, other) = two_processes(pool).await;
    for round in 0..10 {
        one.add(&shopper, &format!("evicts-{round}"), 1).await;
        let loads = stampede(&shopper, [&one.reader, &other.reader]).await;
        assert!((1..10).contains(&loads), "{loads} loads in round {round}");
    }
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_stampede_is_fewer_than_ten_loads_without_redis_too_and_hundreds_without_single_flight(pool: PgPool) {
    let shopper = Shopper::new(pool.clone()).await;
    shopper.add("first", "offer-1", 1).await;
    let flights = CartReader::new(pool.clone(), None);
    let loads = stampede(&shopper, [&flights, &CartReader::new(pool.clone(), None)]).await;
    assert!((1..10).contains(&loads), "{loads} loads with single flight");
    let alone = CartReader::without_single_flight(pool);
    let loads = stampede(&shopper, [&alone, &alone.clone()]).await;
    assert!(loads >= 100, "{loads} loads: the guard this test is about is gone, and nothing shows it");
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn redis_stopped_is_slower_and_what_changed_meanwhile_is_not_stale_after(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("first", "offer-1", 1).await;
    let (redis, link) = (RedisDb::new().await, Link::to(redis_address()).await);
    let linked = redis.at(&format!("127.0.0.1:{}", link.port));
    let process = Process::build(&shopper, Some(linked), &shopper.pool, Watchers::default());
    process.uses_cache(&shopper).await;

    for outage in 0..3 {
        link.cut();
        for reading in 0..20 {
            assert_eq!(process.units(&shopper).await, 1 + outage, "reading {reading} of outage {outage}");
        }
        // Nobody can evict what lies in Redis.
        process.add(&shopper, &format!("during-{outage}"), 1).await;
        assert_eq!(process.units(&shopper).await, 2 + outage);
        link.mend();
        let mended = Instant::now();
        while mended.elapsed() < Duration::from_millis(300) {
            assert_eq!(process.units(&shopper).await, 2 + outage, "stale once Redis is back");
        }
        process.uses_cache(&shopper).await;
        assert_eq!(process.units(&shopper).await, 2 + outage);
    }
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_redis_that_hangs_costs_a_few_reads_milliseconds_and_then_nothing(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("first", "offer-1", 1).await;
    let (redis, link) = (RedisDb::new().await, Link::to(redis_address()).await);
    let linked = redis.at(&format!("127.0.0.1:{}", link.port));
    let process = Process::build(&shopper, Some(linked), &shopper.pool, Watchers::default());
    process.uses_cache(&shopper).await;
    let (bare, cart_id) = (CartReader::new(shopper.pool.clone(), None), shopper.cart_id.parse().unwrap());
    link.stall();
    let (mut with, mut without) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..200 {
        let began = Instant::now();
        assert_eq!(process.units(&shopper).await, 1);
        let read = Instant::now();
        bare.read(cart_id).await.unwrap();
        with += read - began;
        without += read.elapsed();
    }
    // Each waiting 10 ms for Redis would be two seconds more.
    assert!(with < without + Duration::from_secs(1), "{with:?} instead of {without:?}");
    process.add(&shopper, "during", 1).await;
    assert_eq!(process.units(&shopper).await, 2);
    link.mend();
    process.uses_cache(&shopper).await;
    assert_eq!(process.units(&shopper).await, 2);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_redis_that_was_emptied_is_used_again(pool: PgPool) {
    let (shopper, redis, one, other) = two_processes(pool).await;
    redis.command(&["FLUSHDB"]).await;
    assert_eq!((one.units(&shopper).await, other.units(&shopper).await), (1, 1));
    one.uses_cache(&shopper).await;
    other.uses_cache(&shopper).await;
    one.add(&shopper, "after", 1).await;
    assert_eq!((one.units(&shopper).await, other.units(&shopper).await), (2, 2));
}

/// As after a restart from a snapshot, or a failover to a replica that lagged: evictions that were done are undone.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_redis_that_came_back_with_an_old_snapshot_is_not_believed(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("first", "offer-1", 1).await;
    let (redis, link) = (RedisDb::new().await, Link::to(redis_address()).await);
    let linked = redis.at(&format!("127.0.0.1:{}", link.port));
    let process = Process::build(&shopper, Some(linked), &shopper.pool, Watchers::default());
    process.uses_cache(&shopper).await;
    // Every key of ours: the epoch and the cart.
    redis.command(&["COPY", "cart:epoch", "old:epoch"]).await;
    let epoch = redis.command(&["GET", "cart:epoch"]).await;
    let epoch: String = redis::from_redis_value(epoch).unwrap();
    let key = format!("cart:{epoch}:{}", shopper.cart_id);
    let copied = redis.command(&["COPY", &key, "old:cart"]).await;
    assert_eq!(copied, redis::Value::Int(1), "the cart was not there");

    process.add(&shopper, "evicts", 1).await;
    link.cut();
    redis.command(&["COPY", "old:epoch", "cart:epoch", "REPLACE"]).await;
    redis.command(&["COPY", "old:cart", &key, "REPLACE"]).await;
    link.mend();
    within(Duration::from_secs(20), "the cache is used again", async || {
        assert_eq!(process.units(&shopper).await, 2, "the old snapshot was believed");
        let before = process.reader.loads();
        assert_eq!(process.units(&shopper).await, 2, "the old snapshot was believed");
        process.reader.loads() == before
    })
    .await;
}

/// Ends the connections of this database's feeds, from the server's side.
async fn end_feeds(pool: &PgPool) {
    let ended = sqlx::query(
        "select pg_terminate_backend(active_pid) from pg_replication_slots
         where database = current_database() and active",
    );
    assert!(ended.execute(pool).await.unwrap().rows_affected() > 0, "there was no feed to end");
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn what_a_lost_feed_missed_is_not_stale_after(pool: PgPool) {
    let (shopper, _redis, one, other) = two_processes(pool).await;
    for round in 1..=5 {
        end_feeds(&shopper.pool).await;
        empty_by_hand(&shopper, "local").await;
        within(AT_ONCE, "both show the change", async || {
            one.units(&shopper).await == 0 && other.units(&shopper).await == 0
        })
        .await;
        shopper.add(&format!("again-{round}"), "offer-1", 1).await;
        // Written past both processes, whose feeds may still be away: nobody but the feeds evicts it.
        within(AT_ONCE * 2, "both show the add", async || {
            one.units(&shopper).await == 1 && other.units(&shopper).await == 1
        })
        .await;
        one.uses_cache(&shopper).await;
        other.uses_cache(&shopper).await;
    }
}

/// No connection is closed, nothing is refused: nothing arrives.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_feed_that_falls_silent_stops_the_use_of_the_cache(pool: PgPool) {
    let shopper = Shopper::new(pool.clone()).await;
    shopper.add("first", "offer-1", 1).await;
    let options = pool.connect_options();
    let link = Link::to(format!("{}:{}", options.get_host(), options.get_port())).await;
    let linked = PgPool::connect_lazy_with(options.as_ref().clone().host("127.0.0.1").port(link.port));
    let redis = RedisDb::new().await;
    let process = Process::build(&shopper, Some(redis.at(&redis_address())), &linked, Watchers::default());
    process.uses_cache(&shopper).await;
    link.stall();
    empty_by_hand(&shopper, "local").await;
    // The bound on silence is 3 s.
    within(Duration::from_secs(4), "the change shows", async || process.units(&shopper).await == 0).await;
    link.mend();
    process.uses_cache(&shopper).await;
    // At once and not already: on a busy machine Redis may have taken too long for the look above, which then went to the database while
    // the feed was still relied upon; what the link held back has then to arrive.
    within(AT_ONCE, "the change shows from the cache too", async || process.units(&shopper).await == 0).await;
    process.uses_cache(&shopper).await;
}
