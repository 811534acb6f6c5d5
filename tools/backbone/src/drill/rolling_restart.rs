//! `backbone drill rolling-restart`: every service of both regions is restarted, one after the other, under load, and no shopper notices.
//!
//! Shoppers here do not ask again: a request that is not answered as it should be has failed. They go round in a closed loop (a cart, two
//! lines, an order, a look at it), so that every service is in use all the time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use ids::Region;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::orders::conduct;
use super::orders::load::Asked;
use super::orders::processes::{both, part};
use super::orders::stage::{Billing, Stage};
use crate::audit::report::Examined;
use crate::client::CallError;
use crate::load::carts::Shops;
use crate::load::latency::Latencies;
use crate::load::open_loop;
use crate::platform::{self, Layout, Progress, Service};

/// Flags of `backbone drill rolling-restart`.
#[derive(Clone, Debug, clap::Args)]
pub struct RollingRestartArgs {
    /// How long the load lasts; the restarts are spread over its middle.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Shoppers at once, by turns in each region.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    clients: u16,
    /// What is taken away so that the drill must fail. Without the drain the replaced process is killed with what it has begun.
    #[arg(long, value_enum)]
    without: Option<Missing>,
    /// Where to write the report as Markdown too, besides the run directory's `reports`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a restart can be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Missing {
    /// Finishing what has begun.
    Drain,
}

/// Runs the drill and reports.
///
/// # Errors
/// The drill could not be carried out.
pub async fn run(
    layout: &Layout,
    args: RollingRestartArgs,
    interrupt: CancellationToken,
    progress: Progress<'_>,
) -> Result<ExitCode> {
    let perform = perform(layout, &args, progress);
    // Every restart leaves the real service behind.
    conduct(layout, args.out.as_deref(), interrupt, progress, perform, async || Ok(())).await
}

/// The order in which services are restarted: those that are called before those that call them.
fn services() -> Vec<(Region, Service)> {
    both(Service::ALL.into_iter())
}

async fn perform(layout: &Layout, args: &RollingRestartArgs, progress: Progress<'_>) -> Result<super::report::Report> {
    let RollingRestartArgs { duration, clients, without, .. } = *args;
    let at_once = without.is_some();
    let billing = Billing {
        drill: "rolling-restart",
        without: at_once.then_some("drain"),
        hypothesis: format!(
            "while {clients} shoppers order without a pause for {duration:?}, every service of both regions is restarted,\n\
             and not one of their requests fails, though none is ever sent twice."
        ),
        needs_redelivery: false,
        short_charges: false,
    };
    billing.announce(progress);
    let mut stage = Stage::set(layout, progress).await?;
    stage.fill(0).await?;
    let (ledger, end) = (Arc::new(Ledger::default()), stage.start + duration);
    let mut shoppers = JoinSet::new();
    for number in 0..usize::from(clients) {
        let (shops, ledger) = (stage.shops.clone(), Arc::clone(&ledger));
        shoppers.spawn(async move { shop(&shops, Region::ALL[number % 2], &ledger, stage.start, end).await });
    }

    let services = services();
    // From a tenth to nine tenths of the time.
    let gap = duration.mul_f64(0.8) / u32::try_from(services.len()).unwrap_or(u32::MAX);
    let mut restarted = 0;
    for (number, (region, service)) in (0_u32..).zip(services.iter().copied()) {
        sleep_until(stage.start + duration.mul_f64(0.1) + gap * number).await;
        let (part, begin) = (part(region, service), Instant::now());
        platform::restart(layout, &part, at_once, &|_| {}, |_| {}).await?;
        restarted += 1;
        stage.note(format!("{part} restarted in {:.1} s", begin.elapsed().as_secs_f64()));
    }
    let last = Instant::now();
    while let Some(done) = shoppers.join_next().await {
        done.context("a shopper broke down")?;
    }

    let Totals { asked, requests, failures, latencies } = ledger.totals();
    let mut fault = Examined::default();
    fault.count(restarted, "processes replaced under load");
    if requests == 0 || last > end {
        fault.cannot_tell("the restarts took longer than the load: take a longer --duration");
    }
    let mut report = stage.judge(billing, &asked, last, fault).await?;
    let unfailing = crate::audit::report::conclude("NO REQUEST FAILS", || {
        let mut examined = Examined::default();
        examined.count(requests, "requests");
        for (why, count) in &failures {
            (0..*count).for_each(|_| examined.require(false, || why.clone()));
        }
        Ok(examined)
    });
    report.verdicts.insert(1, unfailing);
    report.figure("requests", format!("{requests}, {} failed", failures.values().sum::<usize>()));
    report.figure("each request", latencies.percentiles());
    Ok(report)
}

/// What the shoppers saw.
#[derive(Default)]
struct Ledger {
    totals: Mutex<Totals>,
    stopped: AtomicBool,
}

#[derive(Default)]
struct Totals {
    asked: Vec<Asked>,
    requests: usize,
    /// By reason.
    failures: BTreeMap<String, usize>,
    latencies: Arc<Latencies>,
}

impl Ledger {
    fn request<T>(&self, what: &str, began: Instant, answer: &Result<T, CallError>) {
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        totals.requests += 1;
        totals.latencies.record(began.elapsed());
        if let Err(error) = answer {
            *totals.failures.entry(format!("{what}: {}", error.reason())).or_default() += 1;
        }
    }

    fn totals(&self) -> Totals {
        self.stopped.store(true, Ordering::Relaxed);
        std::mem::take(&mut *self.totals.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Goes round until `end`: a cart, its lines, the order, a look at it.
async fn shop(shops: &Shops, region: Region, ledger: &Ledger, start: Instant, end: Instant) {
    while Instant::now() < end && !ledger.stopped.load(Ordering::Relaxed) {
        let seen = |what: &str, began, answer: Result<(), CallError>| {
            ledger.request(what, began, &answer);
            answer
        };
        let Ok(cart) = shops.fill_once(region, seen).await else { continue };
        let (api, began) = (shops.api(region), Instant::now());
        let answer = open_loop::order(api, &cart).await;
        ledger.request("order", began, &answer);
        let order = answer.as_ref().ok().map(|order| order.order_id);
        let told = open_loop::told(answer);
        let due = began.saturating_duration_since(start);
        let session = cart.session.clone();
        let asked = Asked { cart, due, latency: began.elapsed(), told, repeats: 0 };
        ledger.totals.lock().unwrap_or_else(PoisonError::into_inner).asked.push(asked);
        if let Some(order) = order {
            let began = Instant::now();
            let looked = api.order_status(&session, order).await;
            ledger.request("look", began, &looked);
        }
    }
}
