//! What somebody else holds is waited for: it is no fault of the event, and of no concern to others.

use std::time::Duration;

use outbox::telemetry;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{
    LONG_TRANSACTIONS, Topic, consume, counter, create_effects, effects, eventually, raw_event, settings, unique,
};

/// Longer than the tries of a failing event last.
const HELD: Duration = Duration::from_secs(12);

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_lock_that_is_held_for_long_holds_up_its_own_key_alone_and_dead_letters_nothing(pool: PgPool) {
    let _alone = LONG_TRANSACTIONS.lock().await;
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("blocked"));
    assert_eq!(counter(telemetry::DEAD_LETTERS, group), 0);
    let blocked = Uuid::now_v7();
    // Another session's uncommitted inbox row: the consumer's insert waits for its end.
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("insert into inbox (consumer, event_id) values ($1, $2)")
        .bind(group)
        .bind(blocked)
        .execute(&mut *holder)
        .await
        .unwrap();
    topic.produce("a", b"1", &raw_event(blocked, "east")).await;
    topic.produce("a", b"2", &raw_event(Uuid::now_v7(), "east")).await;
    for number in 0..12 {
        topic.produce(&format!("other {number}"), b"other", &raw_event(Uuid::now_v7(), "east")).await;
    }
    let running = consume(&pool, &settings(), group, topic);
    eventually("the others pass", async || effects(&pool).await.len() == 12).await;
    tokio::time::sleep(HELD).await;
    assert!(effects(&pool).await.iter().all(|(key, _)| key != "a"), "the lock was not held");
    assert!(counter(telemetry::BLOCKED, group) > 1);
    holder.rollback().await.unwrap();
    eventually("the key goes on", async || effects(&pool).await.len() == 14).await;
    running.stop().await;
    let of_the_key: Vec<_> = effects(&pool).await.into_iter().filter(|(key, _)| key == "a").collect();
    assert_eq!(of_the_key.iter().map(|(_, payload)| payload.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(counter(telemetry::RETRIES, group), 0, "the lock was counted against the event");
    assert_eq!(counter(telemetry::DEAD_LETTERS, group), 0);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn what_waits_is_delivered_again_to_the_next_process(pool: PgPool) {
    let _alone = LONG_TRANSACTIONS.lock().await;
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(&[]).await, unique("restarted"));
    let blocked = Uuid::now_v7();
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("insert into inbox (consumer, event_id) values ($1, $2)")
        .bind(group)
        .bind(blocked)
        .execute(&mut *holder)
        .await
        .unwrap();
    topic.produce("a", b"waits", &raw_event(blocked, "east")).await;
    for number in 0..20 {
        topic.produce(&format!("other {number}"), b"other", &raw_event(Uuid::now_v7(), "east")).await;
    }
    let first = consume(&pool, &settings(), group, topic);
    eventually("the others pass", async || effects(&pool).await.len() == 20).await;
    first.stop().await;
    holder.rollback().await.unwrap();
    let second = consume(&pool, &settings(), group, topic);
    eventually("what waited has its effect", async || effects(&pool).await.len() == 21).await;
    second.stop().await;
    assert_eq!(effects(&pool).await.len(), 21);
}
