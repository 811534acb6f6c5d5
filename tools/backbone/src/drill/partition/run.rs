//! The drill itself, from the first cart to the verdicts.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::Utc;
use ids::Region;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::link::Link;
use super::convergence::{self, Convergence};
use super::ending::{Ending, Held};
use super::evidence::{self, Looks};
use super::plan::{self, Timeline};
use super::report::{Report, Settings};
use super::writers::{self, Tally, Written};
use super::{PartitionArgs, availability, judge};
use crate::audit::both::Both;
use crate::audit::report::conclude;
use crate::client::DeploymentArgs;
use crate::platform::{Layout, Progress};
use crate::shared_cart::goods;
use crate::shared_cart::{Carts, Stores};

/// How long the filled carts may take to be the same in both regions before the first write. If they are not, the drill goes on: the
/// verdicts will say so.
const FILLED_WITHIN: Duration = Duration::from_secs(20);
/// What was on its way when the link was cut has arrived or is held by then.
const CUT_SETTLES: Duration = Duration::from_millis(500);
/// The last look under the cut begins so long before the heal.
const LOOK_AHEAD: Duration = Duration::from_millis(300);
/// From the last preparation to the first write.
const BREATH: Duration = Duration::from_millis(200);
/// How often the writers' progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// Does all of it. Whoever calls heals the link and restores the cart afterwards, however this ends.
///
/// # Errors
/// The system cannot be used.
pub async fn perform(layout: &Layout, args: &PartitionArgs, progress: Progress<'_>) -> Result<Report> {
    let settings = Settings::of(args, Utc::now());
    progress(&settings.hypothesis());
    args.cart.begin(layout, progress).await?;
    let deployment = DeploymentArgs { east: None, west: None, run_dir: layout.run_dir.clone() }.find()?;
    goods::put_on_sale(&deployment).await?;
    let (carts, filled) = Carts::fill(&deployment, args.carts.into(), goods::LINES).await?;
    let ids = carts.ids();
    let mut stores = Stores::open(layout, &ids).await?;
    match stores.await_identical(FILLED_WITHIN).await? {
        Some(_) => progress(&format!("{} carts filled, identical in both regions", ids.len())),
        None => progress(&format!("{} carts filled, but not identical after {FILLED_WITHIN:?}", ids.len())),
    }

    let stage = Stage { link: Link::of(layout, args.one_way)?, timeline: Timeline::of(args.duration), progress };
    let start = Instant::now() + BREATH;
    let tally = Arc::new(Tally::default());
    // Dropped with this future, and the writers with it.
    let mut tasks = JoinSet::new();
    for region in Region::ALL {
        let arrivals = plan::arrivals(settings.seed, region, args.rate, ids.len(), args.duration);
        tasks.spawn(writers::write(carts.clone(), region, arrivals, start, tally.clone()));
    }
    let telling = tell(&tally, start, progress);
    let work = async {
        let (looks, healed, heal) = stage.cut_and_heal(start, &mut stores).await?;
        let deadline = start + args.duration + args.converge_within;
        let watched = convergence::after_heal(&mut stores, &ids, &looks.carts, healed, deadline).await?;
        let mut written: Vec<Written> = Vec::new();
        while let Some(finished) = tasks.join_next().await {
            written.extend(finished.and_then(|written| written).context("a writer broke down")?);
        }
        anyhow::Ok((looks, heal, watched, written))
    };
    let (looks, heal, (crossed, identical), written) = tokio::select! {
        done = work => done?,
        never = telling => match never {},
    };
    progress("the writers are done; waiting until the regions agree");
    let agreed = stores.await_identical(args.converge_within).await?;
    let last_write = start + written.iter().map(|one| one.arrival.due + one.latency).max().unwrap_or_default();
    let agreed = agreed.map(|agreed| agreed.saturating_duration_since(last_write));
    let seconds = |after: Option<Duration>| after.map(|after| after.as_secs_f64());
    let convergence = Convergence {
        backlog_crossed_s: seconds(crossed),
        each_cart_identical_s: seconds(identical),
        all_identical_after_writers_s: seconds(agreed),
    };

    let endings = ending(&carts, &mut stores).await?;
    let history = writers::history(filled, &written);
    let answers = availability::answers(&written, looks.cut, heal);
    let ways = stage.link.ways().iter();
    let withheld: Vec<_> = ways.map(|way| evidence::withheld(*way, &looks, &history, &ids)).collect();
    let verdicts = vec![
        conclude("fault bit", || Ok(evidence::bit(&withheld, &looks, &ids))),
        conclude("AVAILABLE", || Ok(availability::available(&answers))),
        conclude("CONVERGED", || Ok(judge::converged(&endings))),
        conclude("LOSSLESS", || Ok(judge::lossless(&history, &endings))),
        conclude("INTENT", || Ok(judge::intent(&history, &endings))),
    ];
    Ok(Report { settings, answers, withheld, convergence, verdicts })
}

/// Where the fault happens.
struct Stage<'a> {
    link: Link,
    timeline: Timeline,
    progress: Progress<'a>,
}

impl Stage<'_> {
    /// Cuts, looks, looks again, heals, each in its time. Returns the looks, and when it began to heal: as an instant, and from `start`.
    async fn cut_and_heal(&self, start: Instant, stores: &mut Stores) -> Result<(Looks, Instant, Duration)> {
        let Timeline { cut, heal, .. } = self.timeline;
        sleep_until(start + cut).await;
        self.link.cut(heal.saturating_sub(cut)).await?;
        let cut = start.elapsed();
        self.tell(cut, "the link is cut");
        sleep(CUT_SETTLES).await;
        let link_first = self.link.show().await?;
        sleep_until(start + heal.saturating_sub(LOOK_AHEAD)).await;
        let looked = start.elapsed();
        let (link_last, carts) = tokio::try_join!(self.link.show(), stores.read())?;
        let looks = Looks { cut, link_first, looked, link_last, carts };
        sleep_until(start + heal).await;
        // From the request on bytes may pass.
        let (healed, heal) = (Instant::now(), start.elapsed());
        self.link.heal().await?;
        self.tell(heal, "the link is healed");
        Ok((looks, healed, heal))
    }

    fn tell(&self, moment: Duration, what: &str) {
        (self.progress)(&format!("{:>6.1} s  {what}", moment.as_secs_f64()));
    }
}

/// Tells how far the writers are, until dropped.
async fn tell(tally: &Tally, start: Instant, progress: Progress<'_>) -> std::convert::Infallible {
    loop {
        sleep(TELL_EVERY).await;
        let (answered, errors) = (tally.answered.load(Ordering::Relaxed), tally.errors.load(Ordering::Relaxed));
        progress(&format!("{:>6.1} s  {answered} writes answered, {errors} errors", start.elapsed().as_secs_f64()));
    }
}

/// What both regions hold now.
async fn ending(carts: &Carts, stores: &mut Stores) -> Result<Vec<Ending>> {
    let stored = stores.read().await?;
    let shown = carts.shown().await;
    let endings = carts.ids().into_iter().zip(shown).map(|(id, shown)| {
        let held = |region, shown| Held { stored: stored.of(region).get(&id).cloned(), shown };
        Ending { id, held: Both { east: held(Region::East, shown.east), west: held(Region::West, shown.west) } }
    });
    Ok(endings.collect())
}
