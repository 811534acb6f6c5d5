//! Watching a cart, on a real database whose changes are really heard of.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use std::time::Duration;

use cart::changes::Watchers;
use chassis::config::ServiceConfig;
use chassis::server::GrpcServer;
use contracts::cart::v1::Cart;
use contracts::cart::v1::WatchCartRequest;
use contracts::cart::v1::cart_service_client::CartServiceClient;
use contracts::cart::v1::cart_service_server::CartServiceServer;
use futures::stream::{BoxStream, StreamExt as _};
use ids::Region;
use sqlx::PgPool;
use support::process::{Process, RedisDb, empty_by_hand, redis_address, units_of, within};
use support::{Shopper, reason, streets};
use tokio::time::timeout;
use tonic::{Code, Request, Status};
use uuid::Uuid;

/// What the contract promises, from a change to its message.
const PROMPT: Duration = Duration::from_secs(1);

type Carts = BoxStream<'static, Result<Cart, Status>>;

fn watching(shopper: &Shopper, watchers: Watchers) -> Process {
    Process::build(shopper, None, &shopper.pool, watchers)
}

async fn next(carts: &mut Carts) -> i64 {
    units_of(&timeout(PROMPT, carts.next()).await.expect("a message within a second").expect("more").unwrap())
}

/// Reads until a message has these units. Returns how many messages that took.
async fn until(carts: &mut Carts, units: i64) -> u32 {
    let mut messages = 1;
    while next(carts).await != units {
        messages += 1;
    }
    messages
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_watcher_sees_the_cart_and_then_every_change_whoever_makes_it(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("first", "offer-1", 1).await;
    for redis in [None, Some(RedisDb::new().await.at(&redis_address()))] {
        let process = Process::build(&shopper, redis, &shopper.pool, Watchers::default());
        let mut carts = process.watch(&shopper).await;
        let present = units_of(&process.get(&shopper).await);
        assert_eq!(next(&mut carts).await, present);
        process.add(&shopper, &Uuid::now_v7().to_string(), 1).await;
        until(&mut carts, present + 1).await;
        // By another process, past this one.
        shopper.add(&Uuid::now_v7().to_string(), "offer-1", 1).await;
        until(&mut carts, present + 2).await;
        // An order hides its lines; they come back when it is given up.
        let order = shopper.checkout(&Uuid::now_v7().to_string(), &shopper.get().await.version).await.unwrap();
        until(&mut carts, 0).await;
        shopper.abandon(&order.order_id).await;
        until(&mut carts, present + 2).await;
        empty_by_hand(&shopper, "local").await;
        until(&mut carts, 0).await;
        assert!(timeout(PROMPT / 4, carts.next()).await.is_err(), "a message without news");
        shopper.add(&Uuid::now_v7().to_string(), "offer-2", 1).await;
        until(&mut carts, 1).await;
    }
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_watcher_sees_a_change_of_the_address(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let redis = RedisDb::new().await.at(&redis_address());
    let process = Process::build(&shopper, Some(redis), &shopper.pool, Watchers::default());
    let mut carts = process.watch(&shopper).await;
    let mut next =
        async || timeout(PROMPT, carts.next()).await.expect("a message within a second").expect("more").unwrap();
    assert_eq!(next().await.delivery_addresses, []);
    for (key, street) in [("1", "Home Lane 1"), ("2", "Work Street 2")] {
        // By another process, past this one.
        shopper.deliver_to(key, street).await;
        assert_eq!(streets(&next().await), [street]);
        assert_eq!(streets(&process.get(&shopper).await), [street]);
    }
    shopper.clear_address("3").await.unwrap();
    assert_eq!(next().await.delivery_addresses, []);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn another_owner_and_no_cart_are_not_found(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let process = watching(&shopper, Watchers::default());
    let _own = process.watch(&shopper).await;
    let stranger = Shopper { owner_id: Uuid::now_v7().to_string(), ..shopper.clone() };
    let nowhere = Shopper { cart_id: Uuid::now_v7().to_string(), ..shopper.clone() };
    for refused in [process.try_watch(&stranger).await, process.try_watch(&nowhere).await] {
        let refused = refused.err().expect("a refusal");
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CART_NOT_FOUND"));
    }
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn watchers_are_bounded_and_a_seat_is_free_again_when_one_leaves(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let process = watching(&shopper, Watchers::at_most(2));
    let one = process.watch(&shopper).await;
    let _other = process.try_watch(&shopper).await.unwrap();
    let refused = process.try_watch(&shopper).await.err().expect("a refusal");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY_WATCHERS"));
    drop(one);
    assert!(process.try_watch(&shopper).await.is_ok());
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_slow_reader_gets_the_latest_and_no_queue(pool: PgPool) {
    const CHANGES: i64 = 200;
    let shopper = Shopper::new(pool).await;
    let process = watching(&shopper, Watchers::default());
    let (mut slow, mut prompt) = (process.watch(&shopper).await, process.watch(&shopper).await);
    assert_eq!((next(&mut slow).await, next(&mut prompt).await), (0, 0));
    for number in 0..CHANGES {
        process.add(&shopper, &format!("add-{number}"), 1).await;
    }
    until(&mut prompt, CHANGES).await;
    let messages = until(&mut slow, CHANGES).await;
    assert_eq!(messages, 1, "{messages} messages for what the slow reader slept through");
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_watcher_sees_what_changed_while_the_feed_was_away(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    let process = watching(&shopper, Watchers::default());
    let mut carts = process.watch(&shopper).await;
    assert_eq!(next(&mut carts).await, 0);
    for round in 1..=5 {
        let ended = sqlx::query(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()",
        );
        ended.execute(&shopper.pool).await.unwrap();
        shopper.add(&format!("add-{round}"), "offer-1", 1).await;
        timeout(PROMPT * 3, async { while carts.next().await.unwrap().is_ok_and(|cart| units_of(&cart) != round) {} })
            .await
            .expect("the change within three seconds");
        within(PROMPT * 3, "the feed is back", async || process.try_watch(&shopper).await.is_ok()).await;
    }
}

/// A commit is handed out to those who follow the log before readers can see it. Here it waits in between, for a standby that is not there.
#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn a_change_is_passed_on_when_it_can_be_read_not_before(pool: PgPool) {
    let shopper = Shopper::new(pool.clone()).await;
    shopper.add("first", "offer-1", 1).await;
    let process = Process::start(&shopper, &RedisDb::new().await).await;
    let mut carts = process.watch(&shopper).await;
    assert_eq!(next(&mut carts).await, 1);

    standby(&pool, "'nobody'").await;
    within(PROMPT * 5, "commits wait for the standby", async || a_commit_waits(&pool).await).await;
    let emptying = tokio::spawn({
        let shopper = shopper.clone();
        async move { empty_by_hand(&shopper, "on").await }
    });
    within(PROMPT * 5, "the commit waits", async || !waiting(&pool).await.is_empty()).await;
    // Whoever reads now reads the state before, and it must not stay.
    for _ in 0..50 {
        assert_eq!(process.units(&shopper).await, 1);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    standby(&pool, "''").await;
    emptying.await.unwrap();
    assert_eq!(until(&mut carts, 0).await, 1);
    within(PROMPT, "the change shows", async || process.units(&shopper).await == 0).await;
}

/// Commits that are to wait for a standby wait for this one. Elsewhere on the throw-away server none does.
async fn standby(pool: &PgPool, name: &'static str) {
    let set = sqlx::AssertSqlSafe(format!("alter system set synchronous_standby_names = {name}"));
    sqlx::query(set).execute(pool).await.unwrap();
    sqlx::query("select pg_reload_conf()").execute(pool).await.unwrap();
}

/// The backends whose commit waits.
async fn waiting(pool: &PgPool) -> Vec<i32> {
    let waiting = "select pid from pg_stat_activity where wait_event = 'SyncRep' and datname = current_database()";
    sqlx::query_scalar(waiting).fetch_all(pool).await.unwrap()
}

/// Whether a commit that changes nothing waits; it is then let go. The server reloads its settings when it gets to it, not when it is told
/// to, and until then commits do not wait.
async fn a_commit_waits(pool: &PgPool) -> bool {
    const NOTHING: &str =
        "begin; set local synchronous_commit = on; select pg_logical_emit_message(true, 'nothing', ''); commit";
    let mut connection = pool.acquire().await.unwrap();
    let mut commit = tokio::spawn(async move { sqlx::raw_sql(NOTHING).execute(&mut *connection).await.map(drop) });
    loop {
        tokio::select! {
            committed = &mut commit => {
                committed.unwrap().unwrap();
                return false;
            }
            () = tokio::time::sleep(Duration::from_millis(2)) => {}
        }
        if let Some(pid) = waiting(pool).await.first() {
            sqlx::query("select pg_cancel_backend($1)").bind(pid).execute(pool).await.unwrap();
            commit.await.unwrap().unwrap();
            return true;
        }
    }
}

fn service_config() -> ServiceConfig {
    ServiceConfig {
        region: Region::East,
        listen: "127.0.0.1:0".parse().unwrap(),
        admin_listen: "127.0.0.1:0".parse().unwrap(),
        otlp_endpoint: None,
        log: "info".to_owned(),
        drain_grace_ms: 10_000,
        requests_in_flight_max: 4,
        connections_max: 4_096,
        client_share_percent: 90,
    }
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
async fn on_the_wire_a_stream_outlives_its_requests_deadline_and_ends_when_the_process_drains(pool: PgPool) {
    const DEADLINE: Duration = Duration::from_millis(300);
    let shopper = Shopper::new(pool).await;
    let process = watching(&shopper, Watchers::default());
    drop(process.watch(&shopper).await);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let admin = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = GrpcServer::new(&service_config()).add_service(CartServiceServer::new(process.service.clone()));
    let serving = tokio::spawn(server.serve_on(listener, admin, process.draining.clone()));

    let mut client = CartServiceClient::connect(url).await.unwrap();
    let mut request =
        Request::new(WatchCartRequest { cart_id: shopper.cart_id.clone(), owner_id: shopper.owner_id.clone() });
    request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
    let stream = client.watch_cart(request).await.unwrap().into_inner();
    let mut carts: Carts = stream.map(|item| item.map(|response| response.cart.unwrap())).boxed();
    assert_eq!(next(&mut carts).await, 0);
    tokio::time::sleep(DEADLINE * 2).await;
    shopper.add("late", "offer-1", 1).await;
    assert_eq!(next(&mut carts).await, 1);

    // More streams than requests may be in flight: a stream holds no place.
    let mut others = Vec::new();
    for _ in 0..10 {
        let request = WatchCartRequest { cart_id: shopper.cart_id.clone(), owner_id: shopper.owner_id.clone() };
        others.push(client.watch_cart(request).await.unwrap());
    }
    process.draining.cancel();
    assert!(timeout(PROMPT, carts.next()).await.expect("an end within a second").is_none());
    drop(others);
    timeout(PROMPT * 5, serving).await.expect("drained before the grace is over").unwrap().unwrap();
}
