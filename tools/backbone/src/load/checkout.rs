//! The measurement from end to end: find a rate, run it, count what it cost, compare it with the ceiling.

use std::path::Path;
use std::time::{Duration, Instant};

use super::carts::Shops;
use super::open_loop::{Reply, Step, Told};
use super::report::{Cost, Report};
use super::search::Search;
use super::{CheckoutArgs, ceiling, commits, open_loop, verify};
use crate::client::{Deployment, Retries};

/// The first orders after a start pay for connections and caches; they are not measured.
const WARM_UP_ORDERS: usize = 60;
const WARM_UP_RATE: u32 = 20;
/// When the rate that was found does not hold for the whole duration, a twentieth less is tried, so many times.
const FALL_BACKS_MAX: u32 = 5;
/// Shipping and capture follow an order; between two runs they are waited for this long.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Measures and reports; see the module.
///
/// # Errors
/// The system or its databases cannot be used at all.
pub async fn measure(deployment: &Deployment, args: &CheckoutArgs) -> anyhow::Result<Report> {
    eprintln!("opening the shops and warming up");
    let shops = Shops::open(deployment).await?;
    let mut load = Loader { shops, replies: Vec::new() };
    load.at(WARM_UP_RATE, WARM_UP_ORDERS).await?;

    let mut report = Report { p99_limit_ms: args.p99_limit_ms, ..Report::default() };
    let rate = match args.rate {
        Some(rate) => rate,
        None => load.search(args, &mut report.steps).await?,
    };
    let (step, cost) = load.hold(rate, args, deployment).await?;
    report.held = step;
    if let Some(per_order) = cost {
        eprintln!("measuring the ceiling");
        let ceiling = ceiling::measure(&deployment.run_dir, args.clients).await?;
        report.cost = Some(Cost::new(per_order, ceiling, report.held.rate));
    }
    if args.verify {
        eprintln!("checking {} answers", load.replies.len());
        report.verified = Some(verify::all(&load.shops, &load.replies).await);
    }
    Ok(report)
}

struct Loader {
    shops: Shops,
    /// Every answer any shopper got.
    replies: Vec<Reply>,
}

impl Loader {
    /// Runs `orders` at `rate`, then waits until the last of them is captured.
    async fn at(&mut self, rate: u32, orders: usize) -> anyhow::Result<Step> {
        let carts = self.shops.fill(orders).await?;
        let (step, replies) = open_loop::run(&self.shops, carts, rate).await;
        self.settle(&replies).await;
        self.replies.extend(replies);
        Ok(step)
    }

    async fn search(&mut self, args: &CheckoutArgs, steps: &mut Vec<Step>) -> anyhow::Result<u32> {
        let mut search = Search::default();
        while let Some(rate) = search.next() {
            let step = self.at(rate, orders_in(rate, args.step_seconds)).await?;
            let is_good = step.is_good(args.p99_limit_ms);
            eprintln!("{rate}/s: {} {}", if is_good { "good" } else { "bad" }, step.latency);
            search.learn(rate, is_good);
            steps.push(step);
        }
        // With no good rate at all, the lowest is run for its figures.
        Ok(search.highest_good().unwrap_or(1))
    }

    /// Runs the rate for the whole duration and counts what it costs; a rate that was searched falls back a little until it
    /// holds.
    async fn hold(
        &mut self,
        mut rate: u32,
        args: &CheckoutArgs,
        deployment: &Deployment,
    ) -> anyhow::Result<(Step, Option<commits::PerOrder>)> {
        let mut fall_backs_left = if args.rate.is_none() { FALL_BACKS_MAX } else { 0 };
        loop {
            // Carts are filled before the counting begins: an order's cost is that from its checkout on.
            let carts = self.shops.fill(orders_in(rate, args.seconds)).await?;
            let meter = if args.no_ceiling { None } else { Some(Meter::start(&deployment.run_dir).await?) };
            eprintln!("holding {rate}/s for {} s", args.seconds);
            let (step, replies) = open_loop::run(&self.shops, carts, rate).await;
            self.settle(&replies).await;
            self.replies.extend(replies);
            if !step.is_good(args.p99_limit_ms) && fall_backs_left > 0 && rate > 1 {
                eprintln!("{rate}/s does not hold: {}", step.latency);
                rate -= (rate / 20).max(1);
                fall_backs_left -= 1;
                continue;
            }
            let cost = match meter {
                Some(meter) => Some(meter.stop(&deployment.run_dir, step.placed).await?),
                None => None,
            };
            return Ok((step, cost));
        }
    }

    /// Waits until the last order placed in each region is captured, within bounds: events keep their order well enough that
    /// the rest then is too, and what is not only weighs on the next run.
    async fn settle(&self, replies: &[Reply]) {
        let retries = Retries::default();
        let start = Instant::now();
        for reply in replies.iter().rev().take(2) {
            let (Told::Placed { order, .. } | Told::Pending { order }) = &reply.told else { continue };
            let api = self.shops.api(reply.cart.region);
            while start.elapsed() < SETTLE_WITHIN {
                let found = retries.run(|| api.order_status(&reply.cart.session, *order)).await;
                if found.is_ok_and(|found| found.captured) {
                    break;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }
}

/// Counts the write transactions of a run.
struct Meter {
    idle: commits::Counts,
    idle_for: Duration,
    before: commits::Counts,
    began: Instant,
}

impl Meter {
    /// Watches the system idle first, to know what is not the orders' doing.
    async fn start(run_dir: &Path) -> anyhow::Result<Self> {
        let idle = commits::read_settled(run_dir).await?;
        let since = Instant::now();
        let before = commits::read_settled(run_dir).await?;
        Ok(Self { idle, idle_for: since.elapsed(), before, began: Instant::now() })
    }

    async fn stop(self, run_dir: &Path, orders: usize) -> anyhow::Result<commits::PerOrder> {
        let after = commits::read_settled(run_dir).await?;
        let idle = (self.idle, self.idle_for);
        Ok(commits::per_order(idle, self.before, after, self.began.elapsed(), orders))
    }
}

fn orders_in(rate: u32, seconds: u64) -> usize {
    usize::try_from(u64::from(rate) * seconds).unwrap_or(usize::MAX)
}
