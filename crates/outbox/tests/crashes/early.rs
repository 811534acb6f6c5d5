//! A writer killed just before its commit: its change never happened, and neither did its event.

use rdkafka::message::Message as _;
use sqlx::PgPool;

use crate::child::{Cast, Role};
use crate::support::Topic;

/// What is in Kafka after the kill. The change is not in the outbox, so no relay could publish it later.
async fn published(pool: &PgPool, guards: &'static str) -> Vec<String> {
    let cast = Cast { pool: pool.clone(), topic: Topic::create(&[]).await, group: "none", guards };
    cast.killed(Role::Writer, "test.change.before-commit", 1).await;
    let left: i64 = sqlx::query_scalar("select count(*) from outbox").fetch_one(pool).await.unwrap();
    assert_eq!(left, 0, "the change happened");
    let records = cast.topic.records().await;
    records.iter().map(|record| String::from_utf8_lossy(record.payload().unwrap_or_default()).into_owned()).collect()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_event_whose_change_a_crash_undid_was_never_published(pool: PgPool) {
    assert_eq!(published(&pool, "").await, ["relayed"]);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn published_before_the_commit_it_would_have_been(pool: PgPool) {
    let published = published(&pool, "publish-after-commit").await;
    assert!(published.contains(&"made".to_owned()), "the check above cannot fail: {published:?}");
}
