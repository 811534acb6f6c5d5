//! From the outbox to Kafka: nothing lost, in order, by one relay at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ids::Region;
use outbox::{NewEvent, append};
use rdkafka::message::Message as _;
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::support::{Topic, eventually, header, relay, settings};

fn event(topic: Topic, aggregate_id: &str, payload: impl ToString) -> NewEvent {
    NewEvent {
        event_type: topic.0,
        aggregate_type: "test",
        aggregate_id: aggregate_id.to_owned(),
        payload: payload.to_string().into_bytes(),
    }
}

async fn append_one(pool: &PgPool, event: NewEvent) {
    let mut tx = pool.begin().await.unwrap();
    append(&mut tx, Region::East, &[event]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn left(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from outbox").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_that_commits_after_a_later_one_is_published_too(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let mut slow = pool.begin().await.unwrap();
    append(&mut slow, Region::East, &[event(topic, "slow", "first position")]).await.unwrap();
    append_one(&pool, event(topic, "quick", "second position")).await;
    let last_seen: i64 = sqlx::query_scalar("select max(position) from outbox").fetch_one(&pool).await.unwrap();

    let running = relay(&pool, &settings());
    eventually("the visible event is published", async || left(&pool).await == 0).await;
    slow.commit().await.unwrap();

    // The hole this is about: a relay that asks for what comes after the last it saw does not find it.
    let later: i64 = sqlx::query_scalar("select count(*) from outbox where position > $1")
        .bind(last_seen)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(later, 0, "the scenario does not produce the hole");
    eventually("the late commit is published", async || left(&pool).await == 0).await;
    running.stop().await;
    assert_eq!(topic.records().await.len(), 2);
}

/// Two relays at a time, each killed again and again: what consumers act on is the first appearance of each event.
#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_aggregates_events_appear_in_the_order_of_their_commits_whatever_becomes_of_the_relays(pool: PgPool) {
    const AGGREGATES: usize = 8;
    const EVENTS: usize = 250;
    let topic = Topic::create(&[]).await;
    let mut running = [relay(&pool, &settings()), relay(&pool, &settings())];
    let writers = (0..AGGREGATES).map(|aggregate| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut conn = PgConnection::connect_with(&pool.connect_options()).await.unwrap();
            for number in 0..EVENTS {
                let mut tx = conn.begin().await.unwrap();
                append(&mut tx, Region::East, &[event(topic, &aggregate.to_string(), number)]).await.unwrap();
                tx.commit().await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    while writers.iter().any(|writer| !writer.is_finished()) {
        running.rotate_left(1);
        std::mem::replace(&mut running[0], relay(&pool, &settings())).kill().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    eventually("all is published", async || left(&pool).await == 0).await;
    for running in running {
        running.stop().await;
    }

    let mut appeared: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
    for record in topic.records().await {
        let number = std::str::from_utf8(record.payload().unwrap()).unwrap().parse().unwrap();
        let numbers = appeared.entry(record.key().unwrap().to_vec()).or_default();
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    assert_eq!(appeared.len(), AGGREGATES);
    for (aggregate, numbers) in appeared {
        assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>(), "aggregate {aggregate:?}");
    }
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn several_events_of_one_transaction_keep_their_order(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let mut tx = pool.begin().await.unwrap();
    let events: Vec<_> = (0..300).map(|number| event(topic, "one", number)).collect();
    append(&mut tx, Region::East, &events).await.unwrap();
    tx.commit().await.unwrap();
    let running = relay(&pool, &settings());
    eventually("all is published", async || left(&pool).await == 0).await;
    running.stop().await;
    let numbers: Vec<String> =
        topic.records().await.iter().map(|record| String::from_utf8_lossy(record.payload().unwrap()).into()).collect();
    assert_eq!(numbers, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_of_a_rolled_back_change_never_existed(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let mut tx = pool.begin().await.unwrap();
    append(&mut tx, Region::East, &[event(topic, "undone", "")]).await.unwrap();
    tx.rollback().await.unwrap();
    append_one(&pool, event(topic, "done", "")).await;
    let running = relay(&pool, &settings());
    eventually("all is published", async || left(&pool).await == 0).await;
    running.stop().await;
    let keys: Vec<_> = topic.records().await.iter().map(|record| record.key().unwrap().to_vec()).collect();
    assert_eq!(keys, [b"done"]);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_too_large_to_publish_is_refused_at_the_append(pool: PgPool) {
    let mut conn = pool.acquire().await.unwrap();
    let too_large = NewEvent { payload: vec![0; outbox::PAYLOAD_BYTES_MAX + 1], ..event(Topic("t"), "a", "") };
    let error = append(&mut conn, Region::East, &[too_large]).await.unwrap_err();
    assert_eq!(error.as_database_error().and_then(|error| error.constraint()), Some("outbox_payload_size"));
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn the_largest_events_are_published(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let mut tx = pool.begin().await.unwrap();
    for _ in 0..12 {
        let largest = NewEvent { payload: vec![7; outbox::PAYLOAD_BYTES_MAX], ..event(topic, "large", "") };
        append(&mut tx, Region::East, &[largest]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let running = relay(&pool, &settings());
    eventually("all is published", async || left(&pool).await == 0).await;
    running.stop().await;
    assert_eq!(topic.records().await.len(), 12);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_append_wakes_the_relay(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let running = relay(&pool, &settings());
    append_one(&pool, event(topic, "a", "")).await;
    eventually("the relay works", async || left(&pool).await == 0).await;
    let mut delays = Vec::new();
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let appended = Instant::now();
        append_one(&pool, event(topic, "a", "")).await;
        eventually("it is published", async || left(&pool).await == 0).await;
        delays.push(appended.elapsed());
    }
    running.stop().await;
    delays.sort();
    // The sweep alone would take most of its second for each.
    assert!(delays[4] < Duration::from_millis(400), "{delays:?}");
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_that_nobody_was_notified_of_is_found_by_the_sweep(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let running = relay(&pool, &settings());
    append_one(&pool, event(topic, "a", "notified")).await;
    eventually("the relay works", async || left(&pool).await == 0).await;
    // As when a transaction appends while the relay is awake and commits long after it has gone to sleep.
    sqlx::query("update outbox_relay set awake_until = 'infinity'").execute(&pool).await.unwrap();
    append_one(&pool, event(topic, "a", "not notified")).await;
    eventually("it is published all the same", async || left(&pool).await == 0).await;
    running.stop().await;
    assert_eq!(topic.records().await.len(), 2);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn one_relay_works_and_another_takes_over_when_it_is_killed(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let first = relay(&pool, &settings());
    append_one(&pool, event(topic, "a", 1)).await;
    eventually("the first relay publishes", async || left(&pool).await == 0).await;
    let second = relay(&pool, &settings());
    for number in 2..=50 {
        append_one(&pool, event(topic, "a", number)).await;
    }
    eventually("the rest is published", async || left(&pool).await == 0).await;
    assert_eq!(topic.records().await.len(), 50, "two relays published the same event");

    first.kill().await;
    append_one(&pool, event(topic, "a", 51)).await;
    eventually("the second relay takes over", async || left(&pool).await == 0).await;
    second.stop().await;
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_record_says_where_it_comes_from_and_whose_it_is(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let mut tx = pool.begin().await.unwrap();
    append(&mut tx, Region::West, &[event(topic, "a", "")]).await.unwrap();
    tx.commit().await.unwrap();
    let running = relay(&pool, &settings());
    eventually("it is published", async || left(&pool).await == 0).await;
    running.stop().await;
    let record = topic.records().await.remove(0);
    assert_eq!(header(&record, "ce_source"), "/regions/east/services/test");
    assert_eq!(header(&record, "ce_homeregion"), "west");
    assert_eq!(header(&record, "ce_type"), topic.0);
}
