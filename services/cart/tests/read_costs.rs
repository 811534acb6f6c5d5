//! What the read cache costs and gives, in one run on one machine: for the figures in `docs/adr/0008-cart-read-cache.md`.
//! `cargo test -p cart --release --test read_costs -- --ignored --nocapture`, with the servers of `backbone test-env`.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stdout, reason = "the figures are what it is for")]
#![allow(dead_code, reason = "each test file uses its own part of the support")]

mod support;

use std::time::{Duration, Instant};

use cart::changes::Watchers;
use futures::stream::StreamExt as _;
use sqlx::PgPool;
use support::Shopper;
use support::process::{Process, RedisDb, units_of};
use uuid::Uuid;

const ROUNDS: usize = 2_000;

/// Prints the median and the 99th percentile of `ROUNDS` times.
async fn measure(what: &str, mut once: impl AsyncFnMut(usize) -> Duration) {
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..ROUNDS {
        times.push(once(round).await);
    }
    times.sort();
    println!("{what:<55} p50 {:>9.1?}   p99 {:>9.1?}", times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
}

#[sqlx::test(migrator = "cart::MIGRATIONS")]
#[ignore = "a measurement, not a test"]
async fn costs(pool: PgPool) {
    let shopper = Shopper::new(pool).await;
    shopper.add("first", "offer-1", 1).await;
    measure("add, nobody follows the changes", async |round| {
        let (key, began) = (format!("alone-{round}"), Instant::now());
        shopper.add(&key, "offer-1", 1).await;
        began.elapsed()
    })
    .await;
    let cached = Process::start(&shopper, &RedisDb::new().await).await;
    let bare = Process::build(&shopper, None, &shopper.pool, Watchers::default());

    // In turns, so that both meet the same machine.
    for _ in 0..2 {
        for (name, process) in
            [("followed by two processes, no cache", &bare), ("followed by two processes, cached", &cached)]
        {
            measure(&format!("add, {name}"), async |_| {
                let (key, began) = (Uuid::now_v7().to_string(), Instant::now());
                process.add(&shopper, &key, 1).await;
                began.elapsed()
            })
            .await;
        }
    }
    for (name, process) in [("from the database", &bare), ("from the cache", &cached)] {
        process.get(&shopper).await;
        measure(&format!("get, {name}"), async |_| {
            let began = Instant::now();
            process.get(&shopper).await;
            began.elapsed()
        })
        .await;
    }
    let mut carts = cached.watch(&shopper).await;
    let mut seen = units_of(&carts.next().await.unwrap().unwrap());
    // As a real server commits: the throw-away one lets commits lie in memory, where followers of the log do not hear of them.
    let options = shopper.pool.connect_options().as_ref().clone().options([("synchronous_commit", "local")]);
    let durable = Shopper::new(PgPool::connect_with(options).await.unwrap()).await;
    measure("from the answer to an add elsewhere to its watcher", async |round| {
        let request = shopper.add_request(&format!("watched-{round}"), "offer-1", 1);
        durable.try_add(request).await.unwrap();
        let answered = Instant::now();
        seen += 1;
        while units_of(&carts.next().await.unwrap().unwrap()) != seen {}
        answered.elapsed()
    })
    .await;
}
