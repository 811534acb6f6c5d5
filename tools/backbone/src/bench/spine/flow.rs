//! Events at a rate, open loop: from the commit of each change to the commit of its effect, and what it costs.

use std::sync::Arc;
use std::time::Duration;

use ids::Region;
use outbox::{NewEvent, append};
use serde::Serialize;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::cost::{Cost, Meter};
use super::ground::Ground;
use crate::load::latency::{Latencies, Percentiles};

/// Of a payload in bytes: a small order.
const PAYLOAD_BYTES: usize = 300;
/// Aggregates that the events are spread over.
const AGGREGATES: i64 = 1_000;
/// No effect for so long after the last one: the rest is lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// How a run went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Flow {
    /// Events a second that were due.
    pub rate: u32,
    /// Changes that committed.
    pub committed: usize,
    /// Changes a second that committed.
    pub committed_per_second: f64,
    /// From the commit's answer to the notification of the effect's commit.
    pub effect: Percentiles,
    /// How late this program was in beginning a change.
    pub late: Percentiles,
    /// Events without an effect.
    pub lost: usize,
    /// Changes that failed.
    pub failed: usize,
    /// Of the processes that took part.
    pub costs: Vec<Cost>,
}

impl Flow {
    /// Processor time in milliseconds for 1,000 events.
    pub fn milliseconds_per_thousand(&self, who: &str) -> Option<f64> {
        Some(self.cost(who)?.processor_seconds * 1_000_000.0 / self.committed.max(1) as f64)
    }

    /// Memory of one in bytes.
    pub fn memory(&self, who: &str) -> Option<u64> {
        Some(self.cost(who)?.memory_bytes)
    }

    fn cost(&self, who: &str) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.name == who)
    }
}

/// Makes `rate` changes a second for `seconds`, numbered from `first` on, and waits for the effects.
///
/// # Errors
/// A task of this program failed.
pub async fn run(ground: &Ground, first: i64, rate: u32, seconds: u64, meter: &mut Meter) -> anyhow::Result<Flow> {
    let (latencies, lateness) = (Latencies::default(), Latencies::default());
    let count = i64::from(rate) * i64::try_from(seconds)?;
    let expected = ground.effects.count() + usize::try_from(count)?;
    let mut changes = JoinSet::new();
    let interval = Duration::from_secs(1) / rate.max(1);
    meter.start();
    let start = Instant::now() + Duration::from_millis(100);
    let mut due = start;
    let mut committed = Vec::with_capacity(usize::try_from(count)?);
    let mut failed = 0;
    let pool = Arc::new(ground.pool.clone());
    for number in first..first + count {
        sleep_until(due).await;
        lateness.record(due.elapsed());
        let (pool, topic) = (Arc::clone(&pool), ground.topic);
        changes.spawn(async move { (number, change(&pool, topic, number).await) });
        while let Some(ended) = changes.try_join_next() {
            take(ended?, &mut committed, &mut failed);
        }
        due += interval;
    }
    while let Some(ended) = changes.join_next().await {
        take(ended?, &mut committed, &mut failed);
    }
    let took = start.elapsed().as_secs_f64();
    ground.effects.reach(expected - failed, PATIENCE).await;
    let costs = meter.stop();
    let mut lost = 0;
    for (number, at) in &committed {
        match ground.effects.at(*number) {
            // The notification may overtake the answer to the commit that caused it all.
            Some(effect) => latencies.record(effect.saturating_duration_since(*at)),
            None => lost += 1,
        }
    }
    Ok(Flow {
        rate,
        committed: committed.len(),
        committed_per_second: committed.len() as f64 / took,
        effect: latencies.percentiles(),
        late: lateness.percentiles(),
        lost,
        failed,
        costs,
    })
}

fn take(ended: (i64, Result<Instant, sqlx::Error>), committed: &mut Vec<(i64, Instant)>, failed: &mut usize) {
    match ended {
        (number, Ok(at)) => committed.push((number, at)),
        (_, Err(_)) => *failed += 1,
    }
}

/// A change with its event. Returns when the commit was answered.
async fn change(pool: &PgPool, topic: &'static str, number: i64) -> Result<Instant, sqlx::Error> {
    let mut tx = pool.begin().await?;
    sqlx::query("insert into change (number) values ($1)").bind(number).execute(&mut *tx).await?;
    append(&mut tx, Region::East, &[event(topic, number)]).await?;
    tx.commit().await?;
    Ok(Instant::now())
}

fn event(topic: &'static str, number: i64) -> NewEvent {
    let mut payload = number.to_be_bytes().to_vec();
    payload.resize(PAYLOAD_BYTES, 7);
    NewEvent {
        event_type: topic,
        aggregate_type: "bench",
        aggregate_id: number.rem_euclid(AGGREGATES).to_string(),
        payload,
    }
}

/// Puts `count` events into the outbox in one transaction, numbered from `first` on. Returns when it had committed.
///
/// # Errors
/// The database's.
pub async fn append_at_once(ground: &Ground, first: i64, count: i64) -> Result<Instant, sqlx::Error> {
    // Ids in order, as those of real events are.
    sqlx::query(
        "insert into outbox (id, aggregatetype, aggregateid, type, payload, home_region)
         select lpad(to_hex(number), 32, '0')::uuid, 'bench', (number % $1)::text, $2,
             int8send(number) || decode(repeat('07', $3 - 8), 'hex'), 'east'
         from generate_series($4::bigint, $4 + $5 - 1) as number",
    )
    .bind(AGGREGATES)
    .bind(ground.topic)
    .bind(i32::try_from(PAYLOAD_BYTES).unwrap_or(i32::MAX))
    .bind(first)
    .bind(count)
    .execute(&ground.pool)
    .await?;
    Ok(Instant::now())
}

/// Waits until `count` effects are there in all.
///
/// # Errors
/// They did not come.
pub async fn all_there(ground: &Ground, count: usize) -> anyhow::Result<()> {
    let there = ground.effects.reach(count, PATIENCE).await;
    anyhow::ensure!(there, "only {} of {count} events had an effect", ground.effects.count());
    Ok(())
}
