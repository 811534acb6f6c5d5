//! `backbone drill broker-loss`: of a region's three brokers the one that leads most partitions dies under load.
//!
//! Every topic is on all three, and an event counts as published when two have it. So the loss of one must lose nothing and stop
//! nothing; but producers repeat what was not acknowledged and consumers find new leaders, and that is when effects are doubled if
//! anything is wrong. When no event was seen delivered again, the drill tries a harder fault: it also kills the consumers, whose last
//! second of work is then delivered again.

mod leaders;
mod probe;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use ids::Region;
use sabotage::Guard;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::probe::Probe;
use super::orders::conduct;
use super::orders::load::{self, Asked};
use super::orders::processes::{Sabotage, part, restore};
use super::orders::stage::{Billing, Stage};
use super::report::Report;
use crate::audit::report::Examined;
use crate::platform::{self, Layout, PartName, Progress, Service, Zone};

/// Where the broker dies.
const REGION: Region = Region::East;
/// Consumers that the harder fault kills: those that move stock and money.
const CONSUMERS: [Service; 2] = [Service::Inventory, Service::Payment];

/// Flags of `backbone drill broker-loss`.
#[derive(Clone, Debug, clap::Args)]
pub struct BrokerLossArgs {
    /// How long orders come in: a third of it before the loss, a third without the broker, a third after its return.
    #[arg(long, value_name = "TIME", default_value = "180s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Orders a second, over both regions.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    rate: u32,
    /// The guard that is taken away so that the drill must fail: inbox-check.
    #[arg(long, value_name = "GUARD", value_parser = parse_guard)]
    without: Option<Guard>,
    /// Where to write the report as Markdown too, besides the run directory's `reports`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn parse_guard(text: &str) -> Result<Guard, String> {
    match text.parse::<Guard>() {
        Ok(guard @ Guard::InboxCheck) => Ok(guard),
        _ => Err("inbox-check".to_owned()),
    }
}

/// Runs the drill, starts the broker again, and reports.
///
/// # Errors
/// The drill could not be carried out, or could not clean up.
pub async fn run(
    layout: &Layout,
    args: BrokerLossArgs,
    interrupt: CancellationToken,
    progress: Progress<'_>,
) -> Result<ExitCode> {
    ensure!(
        layout.settings.brokers == 3,
        "each region has {} broker; `make down WIPE=1` and `make up UP=\"--brokers 3\"` give it three",
        layout.settings.brokers
    );
    let sabotage = args.without.map(|guard| Sabotage::of(layout, &[guard])).transpose()?;
    let perform = perform(layout, &args, sabotage.as_ref(), progress);
    let clean_up = async || {
        for broker in leaders::brokers(layout) {
            platform::start(layout, &broker, &|_| {}).await?;
        }
        for service in CONSUMERS {
            platform::start(layout, &part(REGION, service), &|_| {}).await?;
        }
        probe::remove(layout, REGION).await;
        if sabotage.is_some() { restore(layout, progress).await } else { Ok(()) }
    };
    conduct(layout, args.out.as_deref(), interrupt, progress, perform, clean_up).await
}

async fn perform(
    layout: &Layout,
    args: &BrokerLossArgs,
    sabotage: Option<&Sabotage>,
    progress: Progress<'_>,
) -> Result<Report> {
    let BrokerLossArgs { duration, rate, without, .. } = *args;
    let billing = Billing {
        drill: "broker-loss",
        without: without.map(Guard::name),
        hypothesis: format!(
            "while {rate} orders a second come in for {duration:?}, the broker that leads most partitions of region {REGION} dies after a third\n\
             of it and returns after two. Accepted orders = orders placed = distinct charges in the provider's ledger, none charged twice,\n\
             stock taken once each, no dead letter; although events were delivered again."
        ),
        needs_redelivery: true,
        short_charges: false,
    };
    billing.announce(progress);
    if let Some(sabotage) = sabotage {
        sabotage.begin(layout, progress).await?;
    }
    let mut stage = Stage::set(layout, progress).await?;
    let third = duration / 3;
    let orders = usize::try_from(duration.as_secs() * u64::from(rate)).unwrap_or(usize::MAX);
    // The second third of as many again, in case that the fault has to be harder.
    let mut carts = stage.fill(orders + orders / 3).await?;
    let spare = carts.split_off(orders);
    let probe = Probe::start(layout, REGION).await?;
    stage.start = Instant::now();
    let loss = Loss { layout, sabotage, stage: &stage };
    let (asked, lost) = tokio::join!(load::run(&stage.shops, carts, rate, stage.start), loss.of_leader(third));
    let (mut asked, lost) = (asked?, lost?);
    let mut last = lost.returned;
    let mut killed = 0;
    if !loss.redelivery_seen().await? {
        stage.note("no event was seen delivered again: a harder fault");
        let (again, harder) = tokio::join!(load::run(&stage.shops, spare, rate, Instant::now()), loss.harder(third));
        asked.extend(again?);
        (killed, last) = harder?;
    }
    let produced = probe.stop().await;

    let mut fault = Examined::default();
    fault.count(1 + usize::from(killed > 0), "times a leader died under load");
    fault.count(killed, "consumers killed");
    fault.count(lost.led, "partitions had to find a new leader");
    fault.count(produced.failed(), "probes failed");
    if lost.led == 0 {
        fault.cannot_tell("the broker that died led nothing");
    }
    let figures = figures(&asked, &produced, stage.start, lost.died, third);
    let mut report = stage.judge(billing, &asked, last, fault).await?;
    for (of, is) in figures {
        report.figure(of, is);
    }
    Ok(report)
}

fn figures(
    asked: &[Asked],
    produced: &probe::Produced,
    start: Instant,
    died: Instant,
    third: Duration,
) -> Vec<(String, String)> {
    let loss = died.saturating_duration_since(start);
    let orders = |of: &str, from, to| (format!("orders {of}"), load::latency(asked, from, to).to_string());
    let probes = |of: &str, from, to| (format!("acks=all {of}"), produced.latency(start, from, to).to_string());
    let recovered = produced.recovered(died);
    vec![
        orders("before the loss", Duration::ZERO, loss),
        orders("in the 10 s after it", loss, loss + Duration::from_secs(10)),
        orders("without the broker", loss, loss + third),
        probes("before the loss", Duration::ZERO, loss),
        probes("in the 10 s after it", loss, loss + Duration::from_secs(10)),
        probes("without the broker", loss, loss + third),
        (
            "from the loss until every partition acknowledges again".to_owned(),
            recovered.map_or_else(|| "never".to_owned(), |it| format!("{:.1} s", it.as_secs_f64())),
        ),
    ]
}

/// The fault.
struct Loss<'a> {
    layout: &'a Layout,
    sabotage: Option<&'a Sabotage>,
    stage: &'a Stage<'a>,
}

/// What was done.
struct Lost {
    /// When the broker died.
    died: Instant,
    /// When it was back.
    returned: Instant,
    /// Partitions that it led.
    led: usize,
}

impl Loss<'_> {
    /// Kills the leader of most partitions after a third of the time, and starts it again after two.
    async fn of_leader(&self, third: Duration) -> Result<Lost> {
        sleep_until(self.stage.start + third).await;
        let (broker, led) = leaders::of_most(self.layout, REGION).await?;
        let broker = PartName::new(Zone::Region(REGION), broker);
        let died = Instant::now();
        platform::kill(self.layout, &broker, &|_| {}).await?;
        self.stage.note(format!("{broker} dies; it led {led} partitions"));
        sleep_until(self.stage.start + 2 * third).await;
        platform::start(self.layout, &broker, &|_| {}).await?;
        self.stage.note(format!("{broker} is back"));
        Ok(Lost { died, returned: Instant::now(), led })
    }

    /// Kills the leader again and with it the consumers, at the height of their work. Returns how many consumers died, and when all was
    /// back.
    async fn harder(&self, lasts: Duration) -> Result<(usize, Instant)> {
        let begun = Instant::now();
        sleep_until(begun + lasts / 3).await;
        let (broker, led) = leaders::of_most(self.layout, REGION).await?;
        let broker = PartName::new(Zone::Region(REGION), broker);
        platform::kill(self.layout, &broker, &|_| {}).await?;
        self.stage.note(format!("{broker} dies; it led {led} partitions"));
        for service in CONSUMERS {
            let consumer = part(REGION, service);
            // What it counts between this look and its death is lost.
            self.stage.counters.look().await;
            platform::kill(self.layout, &consumer, &|_| {}).await?;
            self.stage.note(format!("{consumer} dies"));
            platform::start_changed(self.layout, &consumer, &|_| {}, |part| {
                if let Some(sabotage) = self.sabotage {
                    sabotage.apply(self.layout, part);
                }
            })
            .await?;
        }
        sleep_until(begun + lasts * 2 / 3).await;
        platform::start(self.layout, &broker, &|_| {}).await?;
        self.stage.note(format!("{broker} is back"));
        Ok((CONSUMERS.len(), Instant::now()))
    }

    async fn redelivery_seen(&self) -> Result<bool> {
        Ok(self.stage.deliveries().await?.redelivered() > 0)
    }
}
