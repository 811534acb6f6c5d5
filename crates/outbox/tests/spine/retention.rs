//! A consumer refuses to run when it would forget an event that can still be delivered.

use ids::Region;
use outbox::{Consumer, SpineError};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::support::{Effects, Topic, settings};

async fn refusal(pool: PgPool, topic: Topic) -> SpineError {
    let handler = Effects { topics: Box::leak(Box::new([topic.0])) };
    let consumer = Consumer::new(pool, &settings(), Region::East, "refused", handler);
    consumer.run(CancellationToken::new()).await.unwrap_err()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_inbox_that_forgets_before_the_topic_does_is_refused(pool: PgPool) {
    let thirty_days = (30u64 * 86_400_000).to_string();
    let topic = Topic::create(&[("retention.ms", &thirty_days)]).await;
    let error = refusal(pool, topic).await;
    assert!(matches!(&error, SpineError::InboxRetentionTooShort { topic: named, .. } if named == topic.0), "{error}");
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_topic_that_never_forgets_is_refused(pool: PgPool) {
    let topic = Topic::create(&[("retention.ms", "-1")]).await;
    let error = refusal(pool, topic).await;
    assert!(matches!(error, SpineError::UnboundedRetention { .. }), "{error}");
}
