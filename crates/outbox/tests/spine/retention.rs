//! A consumer does not begin when it would forget an event that can still be delivered; it says so, and begins when that has changed.

use chassis::conditions;
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Topic, consume, create_effects, effects, eventually, raw_event, settings, unique};

/// With these settings it does not begin, and says what the topic is; with a retention of a day it does.
async fn refuses_until_it_may(pool: PgPool, extra: &[(&str, &str)], why: &str) {
    create_effects(&pool).await;
    let (topic, group) = (Topic::create(extra).await, unique("refuses"));
    topic.produce("a", b"waits", &raw_event(Uuid::now_v7(), "east")).await;
    let running = consume(&pool, &settings(), group, topic);
    let part = format!("consumer/{group}");
    eventually("it says why", async || conditions::of(&part).is_some()).await;
    let said = conditions::of(&part).unwrap();
    assert!(said.contains(why) && said.contains(topic.0), "{said}");
    assert!(effects(&pool).await.is_empty());

    topic.configure("", "retention.ms", "86400000").await;
    eventually("it begins", async || effects(&pool).await.len() == 1).await;
    eventually("it is well", async || conditions::of(&part).is_none()).await;
    running.stop().await;
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn an_inbox_that_forgets_before_the_topic_does_waits_until_the_topic_forgets_sooner(pool: PgPool) {
    let thirty_days = (30u64 * 86_400_000).to_string();
    refuses_until_it_may(pool, &[("retention.ms", &thirty_days)], "raise the inbox retention").await;
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_topic_that_never_forgets_is_waited_for(pool: PgPool) {
    refuses_until_it_may(pool, &[("retention.ms", "-1")], "never deletes records").await;
}
