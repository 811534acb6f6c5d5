//! Records that are larger than what their error path could carry.

use outbox::{NewEvent, append, telemetry};
use rdkafka::message::{Message as _, OwnedMessage};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{
    Topic, consume, counter, create_effects, effects, eventually, header, raw_event, relay, settings, unique,
};

/// Less than the broker takes, more than a producer of ours may send.
const TOO_LARGE: usize = 1_000_200;

fn payload_bytes(record: &OwnedMessage) -> usize {
    record.payload().map_or(0, <[u8]>::len)
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_record_larger_than_its_dead_letter_stops_nothing_and_leaves_its_place_size_digest_and_beginning(
    pool: PgPool,
) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("oversized"));
    topic.produce("a", &vec![b'x'; TOO_LARGE], &[]).await;
    topic.produce("a", b"good", &raw_event(Uuid::now_v7(), "east")).await;
    let running = consume(&pool, &settings(), group, topic);
    eventually("the good one passes", async || effects(&pool).await.len() == 1).await;
    running.stop().await;
    let letters = topic.dead_letters().await;
    let [letter] = letters.as_slice() else { panic!("{} dead letters", letters.len()) };
    let large = topic.records().await.into_iter().find(|record| payload_bytes(record) == TOO_LARGE).unwrap();
    for (name, expected) in [
        ("dlq_topic", topic.0.to_owned()),
        ("dlq_partition", large.partition().to_string()),
        ("dlq_offset", large.offset().to_string()),
        ("dlq_abridged", "true".to_owned()),
        ("dlq_payload_bytes", TOO_LARGE.to_string()),
    ] {
        assert_eq!(header(letter, name), expected, "{name}");
    }
    assert_eq!(header(letter, "dlq_payload_sha256").len(), 64);
    assert!(letter.payload().unwrap().iter().all(|byte| *byte == b'x') && payload_bytes(letter) == 64 * 1024);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_letter_is_cut_to_what_its_topic_takes(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("narrow"));
    topic.configure(".dlq", "max.message.bytes", "4096").await;
    topic.produce("a", &[b'x'; 20_000], &[]).await;
    topic.produce("a", b"good", &raw_event(Uuid::now_v7(), "east")).await;
    let running = consume(&pool, &settings(), group, topic);
    eventually("the good one passes", async || effects(&pool).await.len() == 1).await;
    running.stop().await;
    let letters = topic.dead_letters().await;
    assert_eq!((letters.len(), payload_bytes(&letters[0])), (1, 0));
    assert_eq!(header(&letters[0], "dlq_payload_bytes"), "20000");
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_letter_that_its_topic_refuses_holds_up_its_own_key_alone_until_it_is_taken(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("refused"));
    assert_eq!(counter(telemetry::BLOCKED, group), 0);
    topic.configure(".dlq", "max.message.bytes", "100").await;
    topic.produce("a", b"stray", &[]).await;
    topic.produce("a", b"behind it", &raw_event(Uuid::now_v7(), "east")).await;
    for key in ["b", "c", "d", "e", "f", "g"] {
        topic.produce(key, b"other", &raw_event(Uuid::now_v7(), "east")).await;
    }
    let running = consume(&pool, &settings(), group, topic);
    eventually("the others pass", async || effects(&pool).await.len() == 6).await;
    eventually("the refusal is told", async || counter(telemetry::BLOCKED, group) > 1).await;
    assert!(effects(&pool).await.iter().all(|(key, _)| key != "a"));
    topic.configure(".dlq", "max.message.bytes", "1048588").await;
    eventually("what is behind it passes", async || effects(&pool).await.len() == 7).await;
    running.stop().await;
    assert_eq!(topic.dead_letters().await.len(), 1);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_that_its_topic_refuses_holds_up_its_own_aggregate_alone(pool: PgPool) {
    let topic = Topic::create(&[("max.message.bytes", "4096")]).await;
    let running = relay(&pool, &settings());
    let mut tx = pool.begin().await.unwrap();
    for (aggregate, bytes) in [("a", 10_000), ("b", 10), ("c", 10), ("a", 10), ("d", 10)] {
        let event = NewEvent {
            event_type: topic.0,
            aggregate_type: "test",
            aggregate_id: aggregate.to_owned(),
            payload: vec![b'x'; bytes],
        };
        append(&mut tx, ids::Region::East, &[event]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let waiting = async || -> Vec<String> {
        sqlx::query_scalar("select aggregateid from outbox order by position").fetch_all(&pool).await.unwrap()
    };
    eventually("the others are published", async || waiting().await == ["a", "a"]).await;
    running.stop().await;
    assert_eq!(topic.records().await.len(), 3);
}
