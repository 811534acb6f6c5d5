//! The outbox is a queue: what passed through it leaves no room taken.

use ids::Region;
use outbox::{NewEvent, append};
use sqlx::PgPool;

use crate::support::{LONG_TRANSACTIONS, Topic, eventually, relay, settings};

const ROUNDS: usize = 5;
const TRANSACTIONS: usize = 20;
const EVENTS: usize = 500;

/// Bytes of the table with its indexes, once vacuum has been there. Autovacuum comes by itself, a little later.
async fn vacuumed_bytes(pool: &PgPool) -> i64 {
    sqlx::query("vacuum outbox").execute(pool).await.unwrap();
    sqlx::query_scalar("select pg_total_relation_size('outbox')").fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn the_outbox_stays_as_large_as_its_longest_backlog_however_many_events_pass(pool: PgPool) {
    let _alone = LONG_TRANSACTIONS.lock().await;
    let topic = Topic::create(&[]).await;
    let mut sizes = Vec::new();
    for _ in 0..ROUNDS {
        for number in 0..TRANSACTIONS {
            let mut tx = pool.begin().await.unwrap();
            let event = NewEvent {
                event_type: topic.0,
                aggregate_type: "test",
                aggregate_id: number.to_string(),
                payload: vec![7; 300],
            };
            append(&mut tx, Region::East, &vec![event; EVENTS]).await.unwrap();
            tx.commit().await.unwrap();
        }
        // Only now, so that every round is the same backlog.
        let running = relay(&pool, &settings());
        let left = || async { sqlx::query_scalar::<_, i64>("select count(*) from outbox").fetch_one(&pool).await };
        eventually("the round is published", async || left().await.unwrap() == 0).await;
        running.stop().await;
        sizes.push(vacuumed_bytes(&pool).await);
    }
    // From the second round on: an index page that vacuum frees is used again after the next one only.
    let (second, last) = (sizes[1], sizes[ROUNDS - 1]);
    assert!(last <= second + second / 4, "it grows: {sizes:?}");
    // Without their indexes, 10,000 such rows are more than 4 MiB.
    assert!(last < 4 << 20, "the rows' room was not given back: {sizes:?}");
}
