//! From Kafka to the effect.

use std::time::{Duration, Instant};

use outbox::telemetry;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{Topic, consume, counter, create_effects, effects, eventually, raw_event, settings, unique};

async fn inbox_rows(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from inbox").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_of_another_region_is_skipped_without_a_trace(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("foreign"));
    let before = counter(telemetry::FOREIGN, group);
    topic.produce("a", b"theirs", &raw_event(Uuid::now_v7(), "west")).await;
    topic.produce("a", b"ours", &raw_event(Uuid::now_v7(), "east")).await;
    let running = consume(&pool, &settings(), group, topic);
    eventually("ours has its effect", async || !effects(&pool).await.is_empty()).await;
    running.stop().await;
    assert_eq!(effects(&pool).await, [("a".to_owned(), "ours".to_owned())]);
    assert_eq!(inbox_rows(&pool).await, 1);
    assert_eq!(counter(telemetry::FOREIGN, group) - before, 1);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_stopped_consumer_has_committed_its_offsets_and_left_the_group(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("stopped"));
    assert_eq!(counter(telemetry::DUPLICATES, group), 0);
    for number in 0..100 {
        topic.produce(&number.to_string(), b"before", &raw_event(Uuid::now_v7(), "east")).await;
    }
    let first = consume(&pool, &settings(), group, topic);
    eventually("all have their effect", async || effects(&pool).await.len() == 100).await;
    first.stop().await;

    topic.produce("a", b"after", &raw_event(Uuid::now_v7(), "east")).await;
    let restarted = Instant::now();
    let second = consume(&pool, &settings(), group, topic);
    eventually("the next has its effect", async || effects(&pool).await.len() == 101).await;
    // A member that is gone without leaving keeps its partitions until its session ends, after ten seconds.
    assert!(restarted.elapsed() < Duration::from_secs(8), "took {:?}", restarted.elapsed());
    second.stop().await;
    assert_eq!(counter(telemetry::DUPLICATES, group), 0, "offsets were not committed");
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn what_can_no_longer_be_delivered_is_forgotten(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("trimmed"));
    sqlx::query(
        "insert into inbox (consumer, event_id, received_at)
         select $1, gen_random_uuid(), now() - make_interval(hours => case when n <= 2500 then 385 else 383 end)
         from generate_series(1, 2600) as n",
    )
    .bind(group)
    .execute(&pool)
    .await
    .unwrap();
    let running = consume(&pool, &settings(), group, topic);
    eventually("the old rows are gone", async || inbox_rows(&pool).await == 100).await;
    running.stop().await;
}

/// Effects that were made over connections of this name.
async fn effects_of(pool: &PgPool, member: &str) -> i64 {
    sqlx::query_scalar("select count(*) from effect where member = $1").bind(member).fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn members_that_come_and_go_cause_one_effect_each(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("members"));
    let staying = consume(&pool, &settings(), group, topic);
    let token = CancellationToken::new();
    let producing = tokio::spawn({
        let token = token.clone();
        async move {
            let mut produced = 0;
            while !token.is_cancelled() {
                topic.produce(&produced.to_string(), b"once", &raw_event(Uuid::now_v7(), "east")).await;
                produced += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            produced
        }
    });
    eventually("the first member works", async || !effects(&pool).await.is_empty()).await;
    for name in ["leaves", "dies"] {
        let options = pool.connect_options().as_ref().clone().application_name(name);
        let passing = consume(&PgPool::connect_with(options).await.unwrap(), &settings(), group, topic);
        eventually("partitions have moved", async || effects_of(&pool, name).await > 0).await;
        if name == "leaves" { passing.stop().await } else { passing.kill().await }
    }
    token.cancel();
    let produced = producing.await.unwrap();
    eventually("all have their effect", async || effects(&pool).await.len() >= produced).await;
    staying.stop().await;
    assert_eq!(effects(&pool).await.len(), produced);
    assert_eq!(inbox_rows(&pool).await, produced as i64);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn events_delivered_again_out_of_order_have_no_second_effect(pool: PgPool) {
    const EVENTS: usize = 200;
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("shuffled"));
    assert_eq!(counter(telemetry::DUPLICATES, group), 0);
    let events: Vec<_> = (0..EVENTS).map(|_| raw_event(Uuid::now_v7(), "east")).collect();
    // Three times each: in order, backwards, and in strides of 7, under other keys and so in other partitions too.
    let again = (0..EVENTS).rev().map(|place| (place, "a"));
    let strides = (0..EVENTS).map(|place| (place * 7 % EVENTS, "b"));
    for (place, key) in (0..EVENTS).map(|place| (place, "a")).chain(again).chain(strides) {
        topic.produce(key, place.to_string().as_bytes(), &events[place]).await;
    }
    let running = consume(&pool, &settings(), group, topic);
    let seen = || counter(telemetry::HANDLED, group) + counter(telemetry::DUPLICATES, group);
    eventually("all is consumed", async || seen() == 3 * EVENTS as u64).await;
    running.stop().await;
    assert_eq!(effects(&pool).await.len(), EVENTS);
    assert_eq!(counter(telemetry::DUPLICATES, group), 2 * EVENTS as u64);
    assert_eq!(counter(telemetry::DELIVERED, group), 3 * EVENTS as u64);
}
