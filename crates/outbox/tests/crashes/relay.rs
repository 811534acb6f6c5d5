//! A relay killed at each of its points: nothing lost, and what is repeated keeps its id.

use std::collections::BTreeSet;

use ids::Region;
use outbox::{NewEvent, append};
use sqlx::PgPool;

use crate::child::{Cast, Role};
use crate::support::{Topic, eventually, header};

const EVENTS: usize = 50;

/// Kills a relay at `point` with the events under way, and lets the next one finish. Returns how many records there are then;
/// each event is among them.
async fn records_after_a_kill_at(pool: &PgPool, point: &str) -> usize {
    let topic = Topic::create(&[]).await;
    let cast = Cast { pool: pool.clone(), topic, group: "none", guards: "" };
    let events: Vec<_> = (0..EVENTS)
        .map(|number| NewEvent {
            event_type: topic.0,
            aggregate_type: "test",
            aggregate_id: number.to_string(),
            payload: Vec::new(),
        })
        .collect();
    let mut tx = pool.begin().await.unwrap();
    append(&mut tx, Region::East, &events).await.unwrap();
    tx.commit().await.unwrap();
    let ids: BTreeSet<String> =
        sqlx::query_scalar("select id::text from outbox").fetch_all(pool).await.unwrap().into_iter().collect();
    cast.killed(Role::Relay, point, 1).await;
    let next = cast.start(Role::Relay, "");
    let left = || async { sqlx::query_scalar::<_, i64>("select count(*) from outbox").fetch_one(pool).await.unwrap() };
    eventually("all is published", async || left().await == 0).await;
    next.stop().await;
    let records = topic.records().await;
    let published: BTreeSet<String> = records.iter().map(|record| header(record, "ce_id")).collect();
    assert_eq!(published, ids, "at {point}");
    records.len()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_relay_killed_anywhere_loses_nothing_and_repeats_only_what_it_had_not_removed(pool: PgPool) {
    for (point, records) in [
        ("relay.round.before-publish", EVENTS),
        ("relay.round.after-publish", 2 * EVENTS),
        ("relay.round.before-commit", 2 * EVENTS),
        ("relay.round.after-commit", EVENTS),
    ] {
        assert_eq!(records_after_a_kill_at(&pool, point).await, records, "{point}");
    }
}
