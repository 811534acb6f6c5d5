//! From an acknowledged add in one region to its being in the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ids::Region;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::client::Deployment;
use crate::load::latency::{Latencies, Percentiles};
use crate::platform::Layout;
use crate::shared_cart::{Carts, Contexts, Dot, Kind, LineId, Past, Stores, goods};
use crate::wan::Panel;

/// Carts that take the adds: a shop's adds are spread over many.
const CARTS: usize = 500;
/// Lines of each.
const LINES: usize = 5;
/// For how long.
const LASTS: Duration = Duration::from_secs(30);
/// Between two looks. Each reads a row for each add under way, a few dozen; half of this is what the figure is too high by.
pub const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long the filled carts may take to be the same in both regions.
const FILLED_WITHIN: Duration = Duration::from_secs(30);
/// An add that is not there after this long after the last one is not waited for.
const UNSEEN_AFTER: Duration = Duration::from_secs(10);

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Visibility {
    /// Adds a second over both regions.
    pub adds_per_second: u32,
    /// As the link says.
    pub round_trip_ms: f64,
    /// From an add's acknowledgement to the end of the first look that found it in the other region.
    pub seen: Percentiles,
    /// Between the ends of two looks.
    pub looks: Percentiles,
    /// Acknowledged and never found.
    pub unseen: usize,
    /// Not acknowledged, by reason.
    pub errors: BTreeMap<String, usize>,
}

/// An acknowledged add that is looked for.
struct Acknowledged {
    cart: usize,
    dot: Dot,
    at: Instant,
}

/// Measures.
///
/// # Errors
/// The system cannot be used.
pub async fn measure(layout: &Layout, deployment: &Deployment, adds_per_second: u32) -> anyhow::Result<Visibility> {
    let link = Panel::of(layout)?.show().await?;
    let round_trip_ms = (link.east_west.delay_us + link.west_east.delay_us) as f64 / 1_000.0;
    goods::put_on_sale(deployment).await?;
    let (carts, _) = Carts::fill(deployment, CARTS, LINES).await?;
    let same = Stores::open(layout, &carts.ids()).await?.await_identical(FILLED_WITHIN).await?;
    anyhow::ensure!(same.is_some(), "filled carts are not the same in both regions after {FILLED_WITHIN:?}");
    let (seen, looks) = (Arc::new(Latencies::default()), Arc::new(Latencies::default()));
    let (mut adders, mut watchers) = (JoinSet::new(), JoinSet::new());
    let start = Instant::now() + Duration::from_millis(200);
    for region in Region::ALL {
        // Bounded by the adds of the whole run.
        let (told, heard) = mpsc::channel(adds(adds_per_second).0 as usize);
        adders.spawn(add(carts.clone(), region, start, adds_per_second, told));
        let there = Contexts::open(layout, region.peer(), &carts.ids()).await?;
        watchers.spawn(watch(there, heard, seen.clone(), looks.clone()));
    }
    let (mut errors, mut unseen) = (BTreeMap::new(), 0);
    while let Some(failed) = adders.join_next().await {
        for (reason, count) in failed.context("an adder broke down")? {
            *errors.entry(reason).or_default() += count;
        }
    }
    while let Some(missing) = watchers.join_next().await {
        unseen += missing.context("a watcher broke down")??;
    }
    let (seen, looks) = (seen.percentiles(), looks.percentiles());
    Ok(Visibility { adds_per_second, round_trip_ms, seen, looks, unseen, errors })
}

/// How many adds each region makes, and how far apart.
fn adds(per_second: u32) -> (u32, Duration) {
    let apart = Duration::from_secs(1) * 2 / per_second.max(1);
    (u32::try_from(LASTS.as_nanos() / apart.as_nanos()).unwrap_or(u32::MAX), apart)
}

/// Adds in one region at half the rate, open loop. Returns how many failed, by reason.
async fn add(
    carts: Carts,
    region: Region,
    start: Instant,
    per_second: u32,
    told: mpsc::Sender<Acknowledged>,
) -> BTreeMap<String, usize> {
    let mut in_flight = JoinSet::new();
    let (count, apart) = adds(per_second);
    for number in 0..count {
        sleep_until(start + apart * number).await;
        let (carts, told) = (carts.clone(), told.clone());
        in_flight.spawn(async move {
            let acknowledged = add_one(&carts, region, number).await?;
            // The watcher is gone only after an error of its own, which ends the measurement.
            let _ = told.send(acknowledged).await;
            Ok(())
        });
    }
    let mut failed = BTreeMap::new();
    while let Some(done) = in_flight.join_next().await {
        let done: Result<(), String> = done.unwrap_or_else(|error| Err(error.to_string()));
        if let Err(reason) = done {
            *failed.entry(reason).or_default() += 1;
        }
    }
    failed
}

async fn add_one(carts: &Carts, region: Region, number: u32) -> Result<Acknowledged, String> {
    let line = LineId { cart: rand::random_range(0..CARTS), offer: rand::random_range(0..LINES) };
    let added = carts.change(region, line, Kind::Add(1), &format!("bench/{region}/{number}")).await;
    let at = Instant::now();
    let past = Past::of_version(&added.map_err(|error| error.reason())?).map_err(|error| error.to_string())?;
    let dot = past.newest(region).ok_or("a version without the add itself")?;
    Ok(Acknowledged { cart: line.cart, dot, at })
}

/// Looks for what is acknowledged until all of it was found, or for [`UNSEEN_AFTER`] after the last. Returns how much was not.
async fn watch(
    mut there: Contexts,
    mut heard: mpsc::Receiver<Acknowledged>,
    seen: Arc<Latencies>,
    looks: Arc<Latencies>,
) -> anyhow::Result<usize> {
    let (mut wanted, mut more): (Vec<Acknowledged>, bool) = (Vec::new(), true);
    let (mut last_look, mut last_heard) = (Instant::now(), Instant::now());
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while more || (!wanted.is_empty() && last_heard.elapsed() < UNSEEN_AFTER) {
        tick.tick().await;
        loop {
            match heard.try_recv() {
                Ok(acknowledged) => wanted.push(acknowledged),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    more = false;
                    break;
                }
            }
            last_heard = Instant::now();
        }
        let carts: BTreeSet<usize> = wanted.iter().map(|one| one.cart).collect();
        let pasts = there.read(&carts).await?;
        let now = Instant::now();
        looks.record(now - last_look);
        last_look = now;
        wanted.retain(|one| {
            let found = pasts.get(&one.cart).is_some_and(|past| past.contains(one.dot));
            if found {
                seen.record(now.saturating_duration_since(one.at));
            }
            !found
        });
    }
    Ok(wanted.len())
}
