//! The section about the event spine: from a commit to its effect, the cost of it, Debezium beside it, and a long outbox.

mod cost;
mod debezium;
mod drain;
mod figures;
mod flow;
mod ground;
mod worker;

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::Instant;

use self::cost::Meter;
use self::debezium::Debezium;
use self::drain::Drain;
use self::flow::Flow;
use self::ground::Ground;
use self::worker::{Role, Worker};
use crate::platform::Layout;

pub use self::figures::section;
pub use self::worker::{SpineWorker, run as run_worker};

/// Events put into the outbox at once, to see how many a second come through.
const THROUGH: i64 = 50_000;
/// Events of the run that warms up connections and caches, and is not counted.
const WARM_UP_SECONDS: u64 = 2;
/// A JVM that loads seventy jars and makes its slot: ten seconds, or minutes on a machine that is busy otherwise.
const DEBEZIUM_STARTS_WITHIN: Duration = Duration::from_secs(300);

/// Flags of the benchmark.
#[derive(Clone, Debug, clap::Args)]
pub struct SpineArgs {
    /// Event spine: events a second.
    #[arg(long = "events", value_name = "RATE", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    pub events: u32,
    /// Event spine: how long the events come at that rate, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub spine_seconds: u64,
    /// Event spine: rows of the outbox that is drained.
    #[arg(long = "drain", value_name = "ROWS", default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1_000..=10_000_000))]
    pub drain: i64,
}

/// What was measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measured {
    /// With our relay.
    ours: Flow,
    /// With Debezium's connector; `None` when it is not here.
    debezium: Option<Flow>,
    /// Events a second through outbox, Kafka and inbox when they are all there at once.
    through_per_second: f64,
    drain: Drain,
    /// Effects beyond the first of an event.
    repeated: usize,
}

impl Measured {
    /// Whether each event had exactly one effect.
    pub fn is_good(&self) -> bool {
        let whole = |flow: &Flow| flow.lost == 0 && flow.failed == 0;
        whole(&self.ours) && self.debezium.as_ref().is_none_or(whole) && self.repeated == 0
    }
}

/// The parts that it needs.
pub const PARTS: [&str; 2] = ["east/postgres", "east/kafka"];

/// Measures all of it, one after the other. What it made is removed in any case.
///
/// # Errors
/// A server or a worker cannot be used. `servers`: the processes of [`PARTS`].
pub async fn measure(layout: &Layout, servers: [i32; 2], args: &SpineArgs) -> anyhow::Result<Measured> {
    let ground = Ground::make(layout).await?;
    let measured = on(&ground, layout, servers, args).await;
    let removed = ground.remove().await;
    let measured = measured?;
    removed?;
    Ok(measured)
}

async fn on(ground: &Ground, layout: &Layout, servers: [i32; 2], args: &SpineArgs) -> anyhow::Result<Measured> {
    let mut next = 0;
    let consumer = Worker::start(Role::Consumer, ground)?;
    let relay = Worker::start(Role::Relay, ground)?;
    eprintln!("event spine: {} events/s for {} s", args.events, args.spine_seconds);
    let ours = flow(ground, &mut next, servers, ("relay", relay.pid()), consumer.pid(), args).await?;

    eprintln!("event spine: {THROUGH} events at once");
    let before = ground.effects.count();
    let committed = flow::append_at_once(ground, next, THROUGH).await?;
    next += THROUGH;
    flow::all_there(ground, before + usize::try_from(THROUGH)?).await?;
    let through_per_second = THROUGH as f64 / committed.elapsed().as_secs_f64();
    relay.stop().await?;

    let mut beside = None;
    if let Some(jars) = debezium::jars(layout) {
        eprintln!("event spine: the same with Debezium's connector");
        let connector = Debezium::start(layout, &jars, ground)?;
        let flow = beside_debezium(ground, &mut next, servers, &connector, consumer.pid(), args).await;
        connector.stop().await?;
        beside = Some(flow?);
    }
    consumer.stop().await?;

    eprintln!("event spine: draining {} rows", args.drain);
    let drain = drain::measure(ground, next, args.drain).await?;
    Ok(Measured { ours, debezium: beside, through_per_second, drain, repeated: ground.effects.repeated() })
}

/// Warms up, then measures.
async fn flow(
    ground: &Ground,
    next: &mut i64,
    [postgres, kafka]: [i32; 2],
    relay: (&str, i32),
    consumer: i32,
    args: &SpineArgs,
) -> anyhow::Result<Flow> {
    let mut nobody = Meter::watch(&[]).await;
    let warm_up = flow::run(ground, *next, args.events, WARM_UP_SECONDS, &mut nobody).await?;
    anyhow::ensure!(warm_up.lost == 0, "{} events of the first {WARM_UP_SECONDS} s had no effect", warm_up.lost);
    *next += i64::from(args.events) * i64::try_from(WARM_UP_SECONDS)?;
    let mut meter = Meter::watch(&[relay, ("consumer", consumer), ("postgres", postgres), ("kafka", kafka)]).await;
    let flow = flow::run(ground, *next, args.events, args.spine_seconds, &mut meter).await?;
    *next += i64::from(args.events) * i64::try_from(args.spine_seconds)?;
    Ok(flow)
}

async fn beside_debezium(
    ground: &Ground,
    next: &mut i64,
    servers: [i32; 2],
    connector: &Debezium,
    consumer: i32,
    args: &SpineArgs,
) -> anyhow::Result<Flow> {
    // One event tells that it has started.
    let (before, started) = (ground.effects.count(), Instant::now());
    flow::append_at_once(ground, *next, 1).await?;
    *next += 1;
    while ground.effects.count() == before {
        anyhow::ensure!(started.elapsed() < DEBEZIUM_STARTS_WITHIN, "Debezium publishes nothing");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    flow(ground, next, servers, ("debezium", connector.pid()), consumer, args).await.context("with Debezium")
}
