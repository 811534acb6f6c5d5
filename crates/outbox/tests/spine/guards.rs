//! Deliveries that repeat, with the guard in place and with it taken away: a check that cannot fail proves nothing.
//!
//! The guard is the inbox's primary key. Without it the insert finds no conflict, every delivery looks new, and nothing
//! else in the consumer stops the second effect.

use ids::Region;
use outbox::{NewEvent, append, telemetry};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{
    Topic, consume, counter, create_effects, effects, eventually, raw_event, relay, settings, unique,
};

async fn take_the_guard_away(pool: &PgPool) {
    sqlx::raw_sql("alter table inbox drop constraint inbox_pk").execute(pool).await.unwrap();
}

/// Delivers one event three times, apart and together in a batch. Returns the effects and the duplicates counted.
async fn delivered_three_times(pool: &PgPool) -> (usize, u64) {
    create_effects(pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("repeated"));
    assert_eq!(counter(telemetry::DUPLICATES, group), 0);
    let event = raw_event(Uuid::now_v7(), "east");
    topic.produce("a", b"once", &event).await;
    let running = consume(pool, &settings(), group, topic);
    eventually("the first delivery has its effect", async || effects(pool).await.len() == 1).await;
    topic.produce("a", b"once", &event).await;
    topic.produce("a", b"once", &event).await;
    topic.produce("a", b"marker", &raw_event(Uuid::now_v7(), "east")).await;
    let marker = ("a".to_owned(), "marker".to_owned());
    eventually("all is consumed", async || effects(pool).await.contains(&marker)).await;
    running.stop().await;
    (effects(pool).await.len() - 1, counter(telemetry::DUPLICATES, group))
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_delivered_three_times_has_one_effect_and_two_counted_duplicates(pool: PgPool) {
    assert_eq!(delivered_three_times(&pool).await, (1, 2));
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn without_the_inbox_key_the_effect_is_repeated(pool: PgPool) {
    take_the_guard_away(&pool).await;
    assert!(delivered_three_times(&pool).await.0 > 1, "the check above cannot fail");
}

/// Kills the relay's connection at its delete: the batch is published, and its rows are still there. Returns the
/// records published and the effects they had.
async fn relay_killed_between_publish_and_delete(pool: &PgPool) -> (usize, usize) {
    create_effects(pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("killed"));
    sqlx::raw_sql(
        "create function die() returns trigger language plpgsql as
             $$ begin perform pg_terminate_backend(pg_backend_pid()); return old; end $$;
         create trigger die before delete on outbox for each row execute function die();",
    )
    .execute(pool)
    .await
    .unwrap();
    let mut tx = pool.begin().await.unwrap();
    let event =
        NewEvent { event_type: topic.0, aggregate_type: "test", aggregate_id: "a".to_owned(), payload: b"once".into() };
    append(&mut tx, Region::East, &[event]).await.unwrap();
    tx.commit().await.unwrap();

    // The consumer runs all along: repeats that wait for it together meet in one batch, which recognises them by
    // itself.
    let consumer = consume(pool, &settings(), group, topic);
    let running = relay(pool, &settings());
    eventually("it is published again", async || topic.records().await.len() > 2).await;
    sqlx::raw_sql("drop trigger die on outbox").execute(pool).await.unwrap();
    let left = || async { sqlx::query_scalar::<_, i64>("select count(*) from outbox").fetch_one(pool).await.unwrap() };
    eventually("the row is deleted", async || left().await == 0).await;
    running.stop().await;

    topic.produce("z", b"marker", &raw_event(Uuid::now_v7(), "east")).await;
    let published = topic.records().await.len() - 1;
    let handled = || counter(telemetry::HANDLED, group) + counter(telemetry::DUPLICATES, group);
    eventually("all is consumed", async || handled() == published as u64 + 1).await;
    consumer.stop().await;
    (published, effects(pool).await.len() - 1)
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_relay_killed_between_publish_and_delete_causes_one_effect(pool: PgPool) {
    counter(telemetry::HANDLED, "");
    let (published, effects) = relay_killed_between_publish_and_delete(&pool).await;
    assert!(published > 1);
    assert_eq!(effects, 1);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn without_the_inbox_key_a_killed_relay_repeats_the_effect(pool: PgPool) {
    counter(telemetry::HANDLED, "");
    take_the_guard_away(&pool).await;
    let (published, effects) = relay_killed_between_publish_and_delete(&pool).await;
    assert!(published > 1 && effects > 1, "the check above cannot fail");
}
