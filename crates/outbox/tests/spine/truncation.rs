//! A broker that lost the tail of its log gives the offsets that were read to other records.

use outbox::telemetry;
use rdkafka::message::Message as _;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Topic, consume, counter, create_effects, effects, eventually, raw_event, settings, unique};

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn records_that_took_the_place_of_those_that_were_read_are_not_skipped(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("truncated"));
    assert_eq!(counter(telemetry::TRUNCATIONS, group), 0);
    for number in 0..10 {
        topic.produce("a", number.to_string().as_bytes(), &raw_event(Uuid::now_v7(), "east")).await;
    }
    let partition = topic.records().await[0].partition();
    // Before the power went, the group had read nine records, and the ninth was another one.
    topic.commit(group, partition, 9, "8:00000000deadbeef");
    let running = consume(&pool, &settings(), group, topic);
    eventually("all have their effect", async || effects(&pool).await.len() == 10).await;
    running.stop().await;
    assert_eq!(counter(telemetry::TRUNCATIONS, group), 1);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_log_that_ends_below_what_was_read_is_read_again_and_repeats_have_no_effect(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("shorter"));
    assert_eq!(counter(telemetry::DUPLICATES, group), 0);
    let produce = async |number: i32| {
        topic.produce("a", number.to_string().as_bytes(), &raw_event(Uuid::now_v7(), "east")).await;
    };
    for number in 0..5 {
        produce(number).await;
    }
    let first = consume(&pool, &settings(), group, topic);
    eventually("all have their effect", async || effects(&pool).await.len() == 5).await;
    first.stop().await;
    let partition = topic.records().await[0].partition();
    topic.commit(group, partition, 50, "49:00000000deadbeef");
    let second = consume(&pool, &settings(), group, topic);
    produce(5).await;
    eventually("the new one has its effect", async || effects(&pool).await.len() == 6).await;
    second.stop().await;
    assert_eq!(effects(&pool).await.len(), 6);
    // The client starts over by itself when the log ends below its position, and the look at the log may find it too.
    assert!(counter(telemetry::DUPLICATES, group) >= 5);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_log_that_is_as_it_was_read_is_not_read_again(pool: PgPool) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("intact"));
    assert_eq!(counter(telemetry::DUPLICATES, group), 0);
    for round in 1..=3 {
        topic.produce("a", b"one", &raw_event(Uuid::now_v7(), "east")).await;
        let running = consume(&pool, &settings(), group, topic);
        eventually("it has its effect", async || effects(&pool).await.len() == round).await;
        running.stop().await;
    }
    assert_eq!((counter(telemetry::DUPLICATES, group), counter(telemetry::TRUNCATIONS, group)), (0, 0));
}
