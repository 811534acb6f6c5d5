//! A database or a peer that is away: nothing lost, nothing dead-lettered, the rest goes on.

use std::time::{Duration, Instant};

use ids::Region;
use outbox::config::SpineConfig;
use outbox::{NewEvent, append, telemetry};
use rdkafka::message::Message as _;
use rdkafka::mocking::MockCluster;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::{
    Link, Topic, consume, counter, create_effects, effects, eventually, raw_event, relay, settings, unique,
};

/// Longer than the tries of a failing event last.
const OUTAGE: Duration = Duration::from_secs(10);

async fn append_many(pool: &PgPool, topic: Topic, count: usize) {
    for number in 0..count {
        let mut tx = pool.begin().await.unwrap();
        let event = NewEvent {
            event_type: topic.0,
            aggregate_type: "test",
            aggregate_id: (number % 7).to_string(),
            payload: number.to_string().into_bytes(),
        };
        append(&mut tx, Region::East, &[event]).await.unwrap();
        tx.commit().await.unwrap();
    }
}

async fn count(pool: &PgPool, table: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_database_outage_loses_nothing_and_counts_as_no_try(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("outage"));
    assert_eq!(counter(telemetry::STALLS, group), 0);
    let (link, linked) = Link::to_postgres(&pool).await;
    let relay = relay(&linked, &settings());
    let consumer = consume(&linked, &settings(), group, topic);
    append_many(&pool, topic, 50).await;
    eventually("events flow", async || effects(&pool).await.len() == 50).await;

    // The consumer gets its events while it cannot reach its database; those of the relay wait in theirs.
    link.cut();
    for _ in 0..10 {
        topic.produce("a", b"meanwhile", &raw_event(Uuid::now_v7(), "east")).await;
    }
    append_many(&pool, topic, 50).await;
    tokio::time::sleep(OUTAGE).await;
    assert_eq!(effects(&pool).await.len(), 50, "the link was not cut");
    assert!(counter(telemetry::STALLS, group) > 0, "the consumer did not notice");
    link.mend();

    eventually("all have their effect", async || effects(&pool).await.len() == 110).await;
    consumer.stop().await;
    relay.stop().await;
    assert_eq!(effects(&pool).await.len(), 110);
    assert_eq!(counter(telemetry::RETRIES, group), 0, "the outage was counted against events");
    assert!(topic.dead_letters().await.is_empty());
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_peer_that_is_away_holds_up_nothing_here_and_gets_all_when_it_is_back(pool: PgPool) {
    let topic = Topic::create(&[]).await;
    let peer = MockCluster::new(1).unwrap();
    peer.create_topic(topic.0, 4, 1).unwrap();
    peer.broker_down(1).unwrap();
    let settings = SpineConfig { peer_kafka_brokers: Some(peer.bootstrap_servers()), ..settings() };
    let running = relay(&pool, &settings);
    append_many(&pool, topic, 1).await;
    eventually("the relay works", async || count(&pool, "outbox").await == 0).await;

    let started = Instant::now();
    append_many(&pool, topic, 400).await;
    eventually("all is published here", async || count(&pool, "outbox").await == 0).await;
    // Less than the deadline of one attempt to publish to the peer, and a round of it would be needed for each batch.
    assert!(started.elapsed() < Duration::from_secs(8), "took {:?}", started.elapsed());
    assert_eq!(topic.records().await.len(), 401);
    assert_eq!(count(&pool, "outbox_peer").await, 401);

    peer.broker_up(1).unwrap();
    eventually("the peer has all", async || count(&pool, "outbox_peer").await == 0).await;
    running.stop().await;
}

/// Four writers, one aggregate each, about 200 events a second in all, until `token` is cancelled. Returns how many each appended.
async fn load(pool: &PgPool, topic: Topic, token: &CancellationToken) -> Vec<usize> {
    let writer = async |aggregate: usize| {
        let mut appended = 0;
        while !token.is_cancelled() {
            let mut tx = pool.begin().await.unwrap();
            let event = NewEvent {
                event_type: topic.0,
                aggregate_type: "test",
                aggregate_id: aggregate.to_string(),
                payload: appended.to_string().into_bytes(),
            };
            append(&mut tx, Region::East, &[event]).await.unwrap();
            tx.commit().await.unwrap();
            appended += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        appended
    };
    futures::future::join_all((0..4).map(writer)).await
}

/// `BROKER_OUTAGE_SECONDS`: how long the broker is away.
#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_broker_that_is_away_under_load_gets_everything_when_it_is_back(pool: PgPool) {
    let outage = std::env::var("BROKER_OUTAGE_SECONDS").map_or(12, |text| text.parse().unwrap());
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("away"));
    let (link, settings) = Link::to_kafka().await;
    let relaying = relay(&pool, &settings);
    let consuming = consume(&pool, &settings, group, topic);
    let token = CancellationToken::new();
    let loading = tokio::spawn({
        let (pool, token) = (pool.clone(), token.clone());
        async move { load(&pool, topic, &token).await }
    });
    eventually("events flow", async || effects(&pool).await.len() > 100).await;

    link.cut();
    tokio::time::sleep(Duration::from_secs(outage)).await;
    let backlog = count(&pool, "outbox").await;
    assert!(backlog > 100 * i64::try_from(outage).unwrap(), "only {backlog} wait: the link was not cut, or no load");
    link.mend();
    let mended = Instant::now();
    // The load goes on meanwhile.
    eventually("the relay has caught up", async || count(&pool, "outbox").await < 20).await;
    let caught_up = mended.elapsed();
    token.cancel();
    let appended = loading.await.unwrap();
    let all: usize = appended.iter().sum();
    eventually("all have their effect", async || effects(&pool).await.len() >= all).await;
    consuming.stop().await;
    relaying.stop().await;
    eprintln!("{backlog} events waited after {outage} s; caught up {caught_up:?} after the broker was back");

    assert_eq!(effects(&pool).await.len(), all);
    assert!(topic.dead_letters().await.is_empty());
    for (aggregate, appended) in appended.into_iter().enumerate() {
        let mut numbers = Vec::new();
        for record in topic.records().await {
            let number: usize = String::from_utf8_lossy(record.payload().unwrap()).parse().unwrap();
            if record.key() == Some(aggregate.to_string().as_bytes()) && !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        assert_eq!(numbers, (0..appended).collect::<Vec<_>>(), "aggregate {aggregate}");
    }
}

/// Longer than a session with the group, and than the client waits for a broker's first answer: it gives up the group, and what it had of
/// it is to be compared with a log that nobody can be asked about.
const FROZEN: Duration = Duration::from_secs(25);

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_consumer_whose_broker_was_frozen_goes_on_when_it_answers_again(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("frozen"));
    let (link, settings) = Link::to_kafka().await;
    let consuming = consume(&pool, &settings, group, topic);
    topic.produce("a", b"before", &raw_event(Uuid::now_v7(), "east")).await;
    eventually("events flow", async || effects(&pool).await.len() == 1).await;

    link.freeze();
    tokio::time::sleep(FROZEN).await;
    topic.produce("a", b"meanwhile", &raw_event(Uuid::now_v7(), "east")).await;
    assert_eq!(effects(&pool).await.len(), 1, "the link was not frozen");
    link.mend();
    eventually("the group is found again", async || effects(&pool).await.len() == 2).await;
    consuming.stop().await;
}
