//! `backbone drill crash-storm`: every few seconds a process of ours dies at a random crash point, or freezes there and wakes as a zombie,
//! while orders come in.
//!
//! The services are exchanged for those with crash points ([`super::orders::processes`]). A victim is drawn, and one of the points that
//! it has passed so far; the point is armed, and the process dies at its next, second or third passing, without unwinding. Whoever
//! watches over processes would start it again at once, and so does the drill. One that freezes is replaced too, as one that does not
//! answer would be, and continued when its leases have lapsed and its successor has taken over: it then goes on as if nothing had happened.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use ids::Region;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use sabotage::{Action, Guard, Order};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::orders::processes::{Points, Sabotage, both, part, restore, sabotageable};
use super::orders::stage::{Billing, Stage};
use super::orders::{conduct, load};
use super::report::Report;
use crate::audit::report::Examined;
use crate::platform::part::Part;
use crate::platform::{self, Layout, Progress, Service};

/// Between two victims.
const GAP: std::ops::Range<f64> = 1.0..4.0;
/// Carts are ordered so much longer than processes die, so that the last victim has work too.
const TAIL: Duration = Duration::from_secs(5);
/// How long a process has to come to its point; then it is killed where it stands.
const REACHED_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a frozen process stays so after its successor is ready: longer than the lease of an order's driver, so that what it was at is
/// another's when it wakes.
const FROZEN: Duration = Duration::from_millis(2_500);
/// One victim in so many freezes instead of dying.
const ZOMBIES: u32 = 5;

/// Flags of `backbone drill crash-storm`.
#[derive(Clone, Debug, clap::Args)]
pub struct CrashStormArgs {
    /// How long processes die.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Orders a second, over both regions.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=500))]
    rate: u32,
    /// Who dies where and when follows from this number [default: drawn, and reported]
    #[arg(long)]
    seed: Option<u64>,
    /// The guard that is taken away so that the drill must fail: fencing-check or publish-after-commit.
    #[arg(long, value_name = "GUARD", value_parser = parse_guard)]
    without: Option<Guard>,
    /// Where to write the report as Markdown too, besides the run directory's `reports`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn parse_guard(text: &str) -> Result<Guard, String> {
    match text.parse::<Guard>() {
        Ok(guard @ (Guard::FencingCheck | Guard::PublishAfterCommit)) => Ok(guard),
        _ => Err("fencing-check or publish-after-commit".to_owned()),
    }
}

/// Runs the drill, restores the services, and reports.
///
/// # Errors
/// The drill could not be carried out, or could not clean up.
pub async fn run(
    layout: &Layout,
    args: CrashStormArgs,
    interrupt: CancellationToken,
    progress: Progress<'_>,
) -> Result<ExitCode> {
    let sabotage = Sabotage::of(layout, args.without.as_slice())?;
    let perform = perform(layout, &args, &sabotage, progress);
    conduct(layout, args.out.as_deref(), interrupt, progress, perform, async || restore(layout, progress).await).await
}

async fn perform(
    layout: &Layout,
    args: &CrashStormArgs,
    sabotage: &Sabotage,
    progress: Progress<'_>,
) -> Result<Report> {
    let CrashStormArgs { duration, rate, without, .. } = *args;
    let seed = args.seed.unwrap_or_else(rand::random);
    let billing = Billing {
        drill: "crash-storm",
        without: without.map(Guard::name),
        hypothesis: format!(
            "while {rate} orders a second come in, for {duration:?} a process of ours dies every few seconds at a random crash point\n\
             or wakes there as a zombie. Every acknowledged order is placed once, charged once and taken from stock once, every event is\n\
             applied once, and after the last death everything comes to rest. Seed {seed}."
        ),
        needs_redelivery: true,
        short_charges: false,
    };
    billing.announce(progress);
    sabotage.begin(layout, progress).await?;
    let mut stage = Stage::set(layout, progress).await?;
    let orders = usize::try_from((duration + TAIL).as_secs() * u64::from(rate)).unwrap_or(usize::MAX);
    let carts = stage.fill(orders).await?;
    let mut storm =
        Storm { dice: StdRng::seed_from_u64(seed), without, sabotage, deaths: 0, zombies: 0, places: BTreeSet::new() };
    let (asked, last) =
        tokio::join!(load::run(&stage.shops, carts, rate, stage.start), storm.rage(&stage, stage.start + duration),);
    let (asked, last) = (asked?, last?);

    let mut fault = Examined::default();
    fault.count(storm.deaths, "processes died at a crash point");
    fault.count(storm.zombies, "zombies woke");
    fault.count(storm.places.len(), "different points");
    let harmless = if without == Some(Guard::FencingCheck) { storm.zombies == 0 } else { storm.deaths == 0 };
    if harmless {
        fault.cannot_tell("too few died for anything to be told: take a longer --duration");
    }
    stage.judge(billing, &asked, last, fault).await
}

/// Who dies next.
struct Storm<'a> {
    dice: StdRng,
    without: Option<Guard>,
    sabotage: &'a Sabotage,
    deaths: usize,
    zombies: usize,
    places: BTreeSet<String>,
}

/// What a victim meets.
#[derive(Debug)]
struct Blow {
    region: Region,
    service: Service,
    action: Action,
    passing: NonZeroU32,
}

impl Storm<'_> {
    /// Rages until `end`. Returns when the last blow was over.
    async fn rage(&mut self, stage: &Stage<'_>, end: Instant) -> Result<Instant> {
        let mut due = stage.start;
        loop {
            due += Duration::from_secs_f64(self.dice.random_range(GAP));
            if due >= end {
                return Ok(Instant::now());
            }
            sleep_until(due).await;
            let blow = self.draw();
            stage.counters.look().await;
            self.strike(stage, &blow).await?;
            due = due.max(Instant::now());
        }
    }

    fn draw(&mut self) -> Blow {
        let victims = match self.without {
            // The damage of these two is done by whoever places orders.
            Some(Guard::FencingCheck | Guard::PublishAfterCommit) => both([Service::Order].into_iter()),
            _ => both(sabotageable().chain([Service::Bff])),
        };
        let (region, service) = victims.choose(&mut self.dice).copied().unwrap_or((Region::East, Service::Order));
        let zombie = match self.without {
            Some(Guard::FencingCheck) => true,
            Some(_) => false,
            None => self.dice.random_ratio(1, ZOMBIES),
        };
        let action = if zombie { Action::Freeze } else { Action::Kill };
        let passing = NonZeroU32::new(self.dice.random_range(1..=3)).unwrap_or(NonZeroU32::MIN);
        Blow { region, service, action, passing }
    }

    /// Whether a point is worth it: without a guard, only where its absence can do harm.
    fn is_wanted(&self, point: &str) -> bool {
        match self.without {
            // The last call is answered; what is left is the write.
            Some(Guard::FencingCheck) => point == "order.authorise-payment.after-call",
            // The event is out, and what it tells of has not happened.
            Some(Guard::PublishAfterCommit) => point == "outbox.append.before-commit",
            _ => true,
        }
    }

    async fn strike(&mut self, stage: &Stage<'_>, blow: &Blow) -> Result<()> {
        let (layout, victim) = (stage.layout, part(blow.region, blow.service));
        if blow.service == Service::Bff {
            platform::kill(layout, &victim, &|_| {}).await?;
            platform::start(layout, &victim, &|_| {}).await?;
            self.deaths += 1;
            stage.note(format!("{victim} dies"));
            return Ok(());
        }
        let points = Points::of(layout, blow.region, blow.service)?;
        let passed: Vec<String> = points.list().await?.into_iter().map(|point| point.name).collect();
        let wanted: Vec<&String> = passed.iter().filter(|point| self.is_wanted(point)).collect();
        let Some(point) = wanted.choose(&mut self.dice) else { return Ok(()) };
        let order = Order { point: (*point).clone(), action: blow.action, passing: blow.passing };
        points.arm(&order).await?;
        let Some(process) = platform::running(layout, &victim)? else { return Ok(()) };
        let (begun, freezes) = (Instant::now(), blow.action == Action::Freeze);
        let struck = || if freezes { process.is_stopped() } else { !process.is_alive() };
        while !struck() && begun.elapsed() < REACHED_WITHIN {
            sleep(LOOK_EVERY).await;
        }
        let reached = struck();
        let place = if reached { order.point.as_str() } else { "somewhere else than asked" };
        let sabotage = |part: &mut Part| self.sabotage.apply(layout, part);
        if freezes && reached {
            stage.note(format!("{victim} freezes at {place}"));
            platform::start_beside(layout, &victim, sabotage).await?;
            sleep(FROZEN).await;
            process.resume()?;
            stage.note(format!("the zombie of {victim} wakes"));
            // It goes on with what it was at while it drains.
            platform::end_predecessor(layout, &victim, &process).await?;
            self.zombies += 1;
        } else {
            platform::kill(layout, &victim, &|_| {}).await?;
            platform::start_changed(layout, &victim, &|_| {}, sabotage).await?;
            stage.note(format!("{victim} dies at {place}"));
            self.deaths += usize::from(reached);
        }
        if reached {
            self.places.insert(order.point);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_strikes_the_same_victims() {
        let sabotage = Sabotage::none();
        let draw = |seed| {
            let dice = StdRng::seed_from_u64(seed);
            let mut storm =
                Storm { dice, without: None, sabotage: &sabotage, deaths: 0, zombies: 0, places: BTreeSet::new() };
            format!("{:?}", (0..20).map(|_| storm.draw()).collect::<Vec<_>>())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn only_guards_that_a_storm_can_miss_are_taken_away() {
        assert_eq!(parse_guard("fencing-check"), Ok(Guard::FencingCheck));
        assert!(parse_guard("inbox-check").is_err() && parse_guard("luck").is_err());
    }
}
