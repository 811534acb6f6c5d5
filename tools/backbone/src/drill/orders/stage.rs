//! The stage of a drill: a system at rest whose stores were read, goods on sale, somebody who counts; and at the end the judgement.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep};

use super::counters::{self, Consumer, Counters};
use super::fates;
use super::judge::{self, Deliveries, Outcomes};
use super::load::{self, Asked};
use crate::audit::report::{Examined, conclude};
use crate::audit::{self, sources};
use crate::client::DeploymentArgs;
use crate::drill::report::Report;
use crate::load::carts::{Cart, Shops};
use crate::platform::{Layout, Progress};

/// The system must be at rest before a drill; what is in flight has this long.
const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// How long the system may take to come to rest after the last fault, before the judges look all the same.
const SETTLE_WITHIN: Duration = Duration::from_secs(90);
/// For the audit to find a moment in which nothing moves; and for what lacks a guard to come to rest.
const QUIET_MOMENT: Duration = Duration::from_secs(10);
/// Between two looks at what is in flight.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From the last preparation to the first order.
const BREATH: Duration = Duration::from_millis(200);

/// See the module.
pub struct Stage<'a> {
    /// The system.
    pub layout: &'a Layout,
    /// Goods and shoppers.
    pub shops: Shops,
    /// Who counts.
    pub counters: Counters,
    /// When the first order is due.
    pub start: Instant,
    /// Told of each step.
    pub progress: Progress<'a>,
    started_at: DateTime<Utc>,
    sold_before: BTreeMap<String, i64>,
    remembered_before: BTreeMap<Consumer, u64>,
    timeline: Mutex<Vec<(f64, String)>>,
}

/// What a drill is called and expects.
#[derive(Clone)]
pub struct Billing {
    /// Its name on the command line.
    pub drill: &'static str,
    /// The guard that is taken away.
    pub without: Option<&'static str>,
    /// What is expected.
    pub hypothesis: String,
    /// Whether events have to be seen delivered again.
    pub needs_redelivery: bool,
    /// Whether the provider is known to take less than it is told to.
    pub short_charges: bool,
}

impl Billing {
    /// Says what is expected, before anything is tried.
    pub fn announce(&self, progress: Progress<'_>) {
        progress(&self.text());
        progress("");
    }

    fn text(&self) -> String {
        let without = self.without.map_or_else(String::new, |guard| {
            format!("\nThe guard {guard} is taken away: a verdict has to FAIL, or it is blind.")
        });
        format!("Hypothesis: {}{without}", self.hypothesis)
    }
}

impl<'a> Stage<'a> {
    /// Sets the stage on the running system.
    ///
    /// # Errors
    /// The system cannot be used, or does not come to rest.
    pub async fn set(layout: &'a Layout, progress: Progress<'a>) -> Result<Self> {
        let deployment = DeploymentArgs { east: None, west: None, run_dir: layout.run_dir.clone() }.find()?;
        let shops = Shops::open(&deployment).await?;
        let rested = at_rest(layout, QUIET_WITHIN).await;
        ensure!(rested.is_some(), "the system does not come to rest; `backbone audit` says what is in flight");
        let stores = sources::read(layout).await;
        let sold_before = judge::sold(stores.inventory.all()?);
        let remembered_before = counters::remembered(layout).await?;
        let counters = Counters::start(layout).await?;
        let (start, started_at) = (Instant::now() + BREATH, Utc::now());
        let timeline = Mutex::default();
        Ok(Self { layout, shops, counters, start, progress, started_at, sold_before, remembered_before, timeline })
    }

    /// Fills carts to be ordered, and lets the clock of the drill begin anew.
    ///
    /// # Errors
    /// A cart cannot be filled.
    pub async fn fill(&mut self, count: usize) -> Result<Vec<Cart>> {
        (self.progress)(&format!("filling {count} carts"));
        let carts = self.shops.fill(count).await?;
        self.start = Instant::now() + BREATH;
        Ok(carts)
    }

    /// Notes what happens now, and tells.
    pub fn note(&self, what: impl Into<String>) {
        let (at, what) = (self.start.elapsed().as_secs_f64(), what.into());
        (self.progress)(&format!("  {at:>6.1} s  {what}"));
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner).push((at, what));
    }

    /// What the consumers counted so far, beside the distinct events.
    ///
    /// # Errors
    /// A database cannot be read.
    pub async fn deliveries(&self) -> Result<Deliveries> {
        self.counters.look().await;
        let remembered = counters::remembered(self.layout).await?;
        Ok(Deliveries::new(self.counters.sums(), &self.remembered_before, &remembered))
    }

    /// Waits until nothing is in flight, finds out what became of each order, and judges. `fault`: whether it really bit.
    /// `settled_from`: when the last fault ended.
    ///
    /// # Errors
    /// A store cannot be read.
    pub async fn judge(
        self,
        billing: Billing,
        asked: &[Asked],
        settled_from: Instant,
        fault: Examined,
    ) -> Result<Report> {
        // What lacks a guard may never come to rest.
        let patience = if billing.without.is_some() { QUIET_MOMENT } else { SETTLE_WITHIN };
        let rested = at_rest(self.layout, patience).await;
        let settled = rested.map(|at| at.saturating_duration_since(settled_from));
        match settled {
            Some(after) => {
                self.note(format!("nothing is in flight, {:.1} s after the last fault", after.as_secs_f64()))
            }
            None => self.note(format!("something is still in flight after {patience:?}")),
        }
        (self.progress)(&format!("asking what became of {} orders", asked.len()));
        let fates = fates::learn(&self.shops, asked).await;
        // What did not come to rest is not waited for twice.
        let patience = if settled.is_some() { SETTLE_WITHIN } else { QUIET_MOMENT };
        let audit = audit::audit(self.layout, patience).await;
        let stores = sources::read(self.layout).await;
        let deliveries = self.deliveries().await?;

        let outcomes = Outcomes::new(asked, &fates);
        let mut verdicts = vec![
            conclude("fault bit", || Ok(fault)),
            conclude("SETTLED", || Ok(settled_in_time(settled, patience))),
            conclude("ACKNOWLEDGED", || Ok(judge::acknowledged(outcomes))),
            conclude("PLACED ONCE", || Ok(judge::placed_once(outcomes, stores.orders.all()?))),
            conclude("CHARGED ONCE", || {
                let provider = stores.provider.as_ref().map_err(Clone::clone)?;
                Ok(judge::charged_once(outcomes, provider, billing.short_charges))
            }),
            conclude("STOCK", || {
                Ok(judge::stock_once(outcomes, stores.orders.all()?, stores.inventory.all()?, &self.sold_before))
            }),
            conclude("APPLIED ONCE", || Ok(judge::applied_once(&deliveries))),
        ];
        if billing.needs_redelivery {
            verdicts.push(conclude("REDELIVERED", || Ok(judge::redelivered(&deliveries))));
        }
        verdicts.extend(audit.findings);

        let mut report = Report {
            drill: billing.drill,
            without: billing.without,
            started_at: self.started_at,
            hypothesis: billing.text(),
            figures: Vec::new(),
            timeline: self.timeline.into_inner().unwrap_or_else(PoisonError::into_inner),
            verdicts,
        };
        let accepted = outcomes.accepted().count();
        report.figure("orders asked for, placed", format!("{}, {accepted}", asked.len()));
        report.figure("sent again by their shoppers", asked.iter().map(|asked| asked.repeats).sum::<u64>());
        report.figure("answers", load::latency(asked, Duration::ZERO, Duration::MAX));
        report.figure("events delivered again", deliveries.redelivered());
        report.figure(
            "at rest",
            settled.map_or_else(|| "never".to_owned(), |it| format!("{:.1} s after the last fault", it.as_secs_f64())),
        );
        Ok(report)
    }
}

/// SETTLED: nothing stayed stuck.
fn settled_in_time(settled: Option<Duration>, patience: Duration) -> Examined {
    let mut examined = Examined::default();
    examined.require(settled.is_some(), || format!("work was still in flight after {patience:?}; see the audit"));
    examined
}

/// Waits until nothing is in flight. Returns when that was seen first; `None` when it was not within `limit`.
pub async fn at_rest(layout: &Layout, limit: Duration) -> Option<Instant> {
    let deadline = Instant::now() + limit;
    loop {
        let seen_at = Instant::now();
        if audit::in_flight(layout).await == Some(0) {
            return Some(seen_at);
        }
        if Instant::now() >= deadline {
            return None;
        }
        sleep(LOOK_EVERY).await;
    }
}
