//! Outbox rows that somebody holds: an operator who looks at them `for update`, a dump, a lock of the whole table.

use std::time::Duration;

use ids::Region;
use outbox::config::SpineConfig;
use outbox::{NewEvent, append};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::mocking::MockCluster;
use sqlx::PgPool;

use crate::support::{LONG_TRANSACTIONS, Topic, eventually, relay, settings};

/// Longer than any time-out after which a relay might give up a statement and publish the batch again.
const HELD: Duration = Duration::from_secs(12);

async fn append_all(pool: &PgPool, topic: Topic, events: &[(&str, &str)]) {
    let event = |(aggregate, payload): &(&str, &str)| NewEvent {
        event_type: topic.0,
        aggregate_type: "test",
        aggregate_id: (*aggregate).to_owned(),
        payload: payload.as_bytes().to_vec(),
    };
    let mut tx = pool.begin().await.unwrap();
    append(&mut tx, Region::East, &events.iter().map(event).collect::<Vec<_>>()).await.unwrap();
    tx.commit().await.unwrap();
}

/// What is left in a table, in order.
async fn left(pool: &PgPool, table: &str) -> Vec<String> {
    let sql = format!("select convert_from(payload, 'UTF8') from {table} order by position");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
}

/// The payloads of an aggregate, as they lie in its partition.
fn of(records: &[OwnedMessage], aggregate: &str) -> Vec<String> {
    let of_it = records.iter().filter(|record| record.key() == Some(aggregate.as_bytes()));
    of_it.map(|record| String::from_utf8_lossy(record.payload().unwrap()).into_owned()).collect()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_row_that_somebody_holds_is_published_once_and_holds_up_its_own_aggregate_alone(pool: PgPool) {
    let _alone = LONG_TRANSACTIONS.lock().await;
    let topic = Topic::create(&[]).await;
    append_all(&pool, topic, &[("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1")]).await;
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("select from outbox where payload = 'a1' for update").execute(&mut *holder).await.unwrap();
    let running = relay(&pool, &settings());
    eventually("the others are gone", async || left(&pool, "outbox").await == ["a1", "a2"]).await;
    append_all(&pool, topic, &[("b", "b2"), ("a", "a3")]).await;
    eventually("others pass", async || left(&pool, "outbox").await == ["a1", "a2", "a3"]).await;
    tokio::time::sleep(HELD).await;
    let published = topic.records().await;
    assert_eq!(of(&published, "a"), ["a1", "a2"], "published again, or what is behind it was not kept");
    holder.rollback().await.unwrap();
    eventually("all is gone", async || left(&pool, "outbox").await.is_empty()).await;
    running.stop().await;
    let published = topic.records().await;
    assert_eq!(of(&published, "a"), ["a1", "a2", "a3"]);
    assert_eq!(
        (of(&published, "b"), of(&published, "c")),
        (vec!["b1".to_owned(), "b2".to_owned()], vec!["c1".to_owned()])
    );
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn what_is_held_moves_to_the_peers_table_in_its_order(pool: PgPool) {
    let _alone = LONG_TRANSACTIONS.lock().await;
    let topic = Topic::create(&[]).await;
    let peer = MockCluster::new(1).unwrap();
    peer.create_topic(topic.0, 4, 1).unwrap();
    peer.broker_down(1).unwrap();
    let settings = SpineConfig { peer_kafka_brokers: Some(peer.bootstrap_servers()), ..settings() };
    append_all(&pool, topic, &[("a", "a1"), ("a", "a2"), ("b", "b1")]).await;
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("select from outbox where payload = 'a1' for update").execute(&mut *holder).await.unwrap();
    let running = relay(&pool, &settings);
    eventually("the other has moved", async || left(&pool, "outbox_peer").await == ["b1"]).await;
    append_all(&pool, topic, &[("a", "a3")]).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(left(&pool, "outbox").await, ["a1", "a2", "a3"]);
    holder.rollback().await.unwrap();
    eventually("all have moved", async || left(&pool, "outbox").await.is_empty()).await;
    assert_eq!(left(&pool, "outbox_peer").await, ["a1", "a2", "b1", "a3"]);
    running.stop().await;
    assert_eq!(of(&topic.records().await, "a"), ["a1", "a2", "a3"]);
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_table_that_is_held_whole_is_published_once_too(pool: PgPool) {
    let _alone = LONG_TRANSACTIONS.lock().await;
    let topic = Topic::create(&[]).await;
    append_all(&pool, topic, &[("a", "a1"), ("b", "b1")]).await;
    let mut holder = pool.begin().await.unwrap();
    sqlx::query("lock table outbox in exclusive mode").execute(&mut *holder).await.unwrap();
    let running = relay(&pool, &settings());
    tokio::time::sleep(HELD).await;
    holder.rollback().await.unwrap();
    eventually("all is gone", async || left(&pool, "outbox").await.is_empty()).await;
    running.stop().await;
    assert_eq!(topic.records().await.len(), 2);
}
