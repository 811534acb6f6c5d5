//! Events that cannot be applied, and the good ones behind them.

use outbox::telemetry;
use rdkafka::message::{Message as _, OwnedMessage};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{
    Topic, consume, counter, create_effects, effects, eventually, header, raw_event, settings, unique,
};

/// Sends good, bad, good with the same key, so in one partition; returns what the dead letters then hold.
async fn good_bad_good(pool: &PgPool, bad: &[u8], bad_headers: &[(&str, String)]) -> (Topic, Vec<OwnedMessage>) {
    create_effects(pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("poisoned"));
    assert_eq!(counter(telemetry::DEAD_LETTERS, group), 0);
    topic.produce("a", b"good 1", &raw_event(Uuid::now_v7(), "east")).await;
    topic.produce("a", bad, bad_headers).await;
    topic.produce("a", b"good 2", &raw_event(Uuid::now_v7(), "east")).await;
    let running = consume(pool, &settings(), group, topic);
    eventually("the good ones pass", async || effects(pool).await.len() == 2).await;
    running.stop().await;
    let applied: Vec<_> = effects(pool).await.into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(applied, ["good 1", "good 2"]);
    assert_eq!(counter(telemetry::DEAD_LETTERS, group), 1);
    (topic, topic.dead_letters().await)
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn poison_goes_to_the_dead_letters_as_it_came_and_says_why(pool: PgPool) {
    let id = Uuid::now_v7();
    let (topic, letters) = good_bad_good(&pool, b"poison", &raw_event(id, "east")).await;
    let [letter] = letters.as_slice() else { panic!("{} dead letters", letters.len()) };
    assert_eq!((letter.key(), letter.payload()), (Some(b"a".as_slice()), Some(b"poison".as_slice())));
    let poisoned = topic.records().await.into_iter().find(|record| record.payload() == Some(b"poison")).unwrap();
    for (name, expected) in [
        ("ce_id", id.to_string()),
        ("ce_homeregion", "east".to_owned()),
        ("dlq_error_class", "poison".to_owned()),
        ("dlq_reason", "told to be poison".to_owned()),
        ("dlq_topic", topic.0.to_owned()),
        ("dlq_partition", poisoned.partition().to_string()),
        ("dlq_offset", poisoned.offset().to_string()),
    ] {
        assert_eq!(header(letter, name), expected, "{name}");
    }
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_that_keeps_failing_goes_there_after_bounded_tries(pool: PgPool) {
    let (_, letters) = good_bad_good(&pool, b"fail", &raw_event(Uuid::now_v7(), "east")).await;
    assert_eq!(header(&letters[0], "dlq_error_class"), "retries_exhausted");
    assert_eq!(header(&letters[0], "dlq_reason"), "told to fail");
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_record_without_our_headers_goes_there(pool: PgPool) {
    let (_, letters) = good_bad_good(&pool, b"stray", &[]).await;
    assert_eq!(header(&letters[0], "dlq_error_class"), "undecodable");
    assert_eq!(header(&letters[0], "dlq_reason"), "ce_specversion is missing");
}
