//! Consumers killed in the middle of a batch: a thousand events, a thousand effects.

use outbox::telemetry;
use rdkafka::message::Message as _;
use sqlx::PgPool;
use uuid::Uuid;

use crate::child::{Cast, Counted, Role};
use crate::support::{Topic, counter, create_effects, effects, eventually, header, raw_event, unique};

const EVENTS: usize = 1_000;
/// Runs of the scenario, `CRASH_RUNS`; by default one for each of the second kills.
const RUNS: usize = SECOND_KILLS.len();
/// So many at once: each waits ten seconds for the session of each member that was killed.
const RUNS_AT_ONCE: usize = 4;
const SECOND_KILLS: [&str; 4] = [
    "consumer.apply.before-commit",
    "consumer.apply.after-commit",
    "consumer.progress.before-ack",
    "consumer.progress.after-ack",
];

/// What came of a run.
struct Outcome {
    effects: i64,
    events_with_effects: i64,
    /// By the member that was not killed.
    last: Counted,
}

/// A member is killed at an effect in the middle of a batch, the next one around its second commit, the third finishes.
/// `number`: which effect, and where the second is killed.
async fn run(pool: &PgPool, guards: &'static str, number: usize) -> Outcome {
    let cast = Cast { pool: pool.clone(), topic: Topic::create(&[]).await, group: unique("killed"), guards };
    let ids: Vec<Uuid> = (0..EVENTS).map(|_| Uuid::now_v7()).collect();
    produce(cast.topic, &ids).await;
    let marker = 100 + 37 * (number % 20);
    cast.killed(Role::Consumer, "test.effect.before-commit", marker).await;
    cast.killed(Role::Consumer, SECOND_KILLS[number % SECOND_KILLS.len()], 2).await;
    let last = cast.start(Role::Consumer, "");
    eventually("each event has its effect", async || count(pool, &ids).await.1 == EVENTS as i64).await;
    // Behind everything in each partition, also behind what is delivered again.
    let ends: Vec<Uuid> = (0..32).map(|_| Uuid::now_v7()).collect();
    produce(cast.topic, &ends).await;
    eventually("all is consumed", async || count(pool, &ends).await.1 == ends.len() as i64).await;
    let last = last.stop().await;
    let (effects, events_with_effects) = count(pool, &ids).await;
    Outcome { effects, events_with_effects, last }
}

/// Each under a key of its own.
async fn produce(topic: Topic, ids: &[Uuid]) {
    let one = async |(number, id): (usize, &Uuid)| {
        topic.produce(&number.to_string(), b"once", &raw_event(*id, "east")).await;
    };
    futures::future::join_all(ids.iter().enumerate().map(one)).await;
}

/// Effects of these events, and how many of the events have any.
async fn count(pool: &PgPool, ids: &[Uuid]) -> (i64, i64) {
    sqlx::query_as("select count(*), count(distinct event_id) from effect where event_id = any($1)")
        .bind(ids)
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn consumers_killed_in_the_middle_of_a_batch_cause_one_effect_for_each_of_a_thousand_events(pool: PgPool) {
    create_effects(&pool).await;
    let runs = std::env::var("CRASH_RUNS").map_or(RUNS, |text| text.parse().unwrap());
    let mut redelivered = 0;
    for first in (0..runs).step_by(RUNS_AT_ONCE) {
        let at_once = (first..runs.min(first + RUNS_AT_ONCE)).map(|number| run(&pool, "", number));
        for outcome in futures::future::join_all(at_once).await {
            assert_eq!((outcome.events_with_effects, outcome.effects), (EVENTS as i64, EVENTS as i64));
            assert_eq!(outcome.last.delivered, outcome.last.handled + outcome.last.duplicates);
            redelivered += outcome.last.duplicates;
        }
    }
    assert!(redelivered > 0, "nothing was delivered again, so the inbox was not asked");
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn without_the_inbox_check_killed_consumers_repeat_effects(pool: PgPool) {
    create_effects(&pool).await;
    let outcome = run(&pool, "inbox-check", 1).await;
    assert_eq!(outcome.events_with_effects, EVENTS as i64);
    assert!(outcome.effects > EVENTS as i64, "the check above cannot fail");
}

#[sqlx::test(migrator = "outbox::MIGRATIONS")]
async fn a_consumer_killed_around_a_dead_letter_loses_neither_the_letter_nor_a_good_event(pool: PgPool) {
    create_effects(&pool).await;
    counter(telemetry::HANDLED, "");
    let cast = Cast { pool: pool.clone(), topic: Topic::create(&[]).await, group: unique("poisoned"), guards: "" };
    for number in 0..100 {
        if number == 50 {
            cast.topic.produce("a", b"poison", &raw_event(Uuid::now_v7(), "east")).await;
        }
        cast.topic.produce("a", b"good", &raw_event(Uuid::now_v7(), "east")).await;
    }
    cast.killed(Role::Consumer, "consumer.dead-letter.before-publish", 1).await;
    assert!(cast.topic.dead_letters().await.is_empty());
    cast.killed(Role::Consumer, "consumer.dead-letter.after-publish", 1).await;
    let last = cast.start(Role::Consumer, "");
    eventually("the good ones pass", async || effects(&pool).await.len() >= 100).await;
    let counted = last.stop().await;
    assert_eq!(effects(&pool).await, vec![("a".to_owned(), "good".to_owned()); 100]);
    // The second because the first was not acknowledged: both say that they are the same record.
    let letters = cast.topic.dead_letters().await;
    let places: Vec<_> = letters.iter().map(|letter| header(letter, "dlq_offset")).collect();
    assert_eq!(places, ["50", "50"]);
    assert!(letters.iter().all(|letter| letter.payload() == Some(b"poison")));
    assert_eq!(counted.dead, 1);
}
