//! `backbone drill psp-hell`: the payment provider misbehaves in all its ways at once, while orders come in and some of them come back.
//!
//! Every fault of its panel is on: it is slow, falls silent before, after and long after the work, answers 500 at random, declines good
//! cards, takes less than it was asked to, sends webhooks twice, late, out of order, and forged ones beside them. It counts what really
//! came of each, so a fault that did not bite is no proof. The verdict is spoken by its own ledger.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sabotage::Guard;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::orders::processes::{Sabotage, restore};
use super::orders::returns::{self, GivenBack};
use super::orders::stage::{Billing, Stage};
use super::orders::{conduct, load};
use super::report::Report;
use crate::audit::report::{Examined, conclude};
use crate::audit::sources;
use crate::platform::{Layout, Progress};

/// It answers from memory, on this machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// One order in so many comes back in part.
const RETURNED: usize = 5;
/// Faults that must have bitten, by the provider's own count.
const FAULTS: [&str; 13] = [
    "timeout_after_work",
    "timeout_before_work",
    "straggler",
    "server_error_after_work",
    "server_error_before_work",
    "slow",
    "decline",
    "partial_capture",
    "duplicate_webhook",
    "reorder_webhook",
    "forged_signature",
    "forged_content",
    "replayed_webhook",
];

/// Flags of `backbone drill psp-hell`.
#[derive(Clone, Debug, clap::Args)]
pub struct PspHellArgs {
    /// How long orders come in.
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// Orders a second, over both regions.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=500))]
    rate: u32,
    /// The guard that is taken away so that the drill must fail: provider-key.
    #[arg(long, value_name = "GUARD", value_parser = parse_guard)]
    without: Option<Guard>,
    /// Where to write the report as Markdown too, besides the run directory's `reports`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn parse_guard(text: &str) -> Result<Guard, String> {
    match text.parse::<Guard>() {
        Ok(guard @ Guard::ProviderKey) => Ok(guard),
        _ => Err("provider-key".to_owned()),
    }
}

/// Runs the drill, makes the provider behave again, and reports.
///
/// # Errors
/// The drill could not be carried out, or could not clean up.
pub async fn run(
    layout: &Layout,
    args: PspHellArgs,
    interrupt: CancellationToken,
    progress: Progress<'_>,
) -> Result<ExitCode> {
    let panel = Panel::of(layout)?;
    let sabotage = args.without.map(|guard| Sabotage::of(layout, &[guard])).transpose()?;
    let perform = perform(layout, &args, &panel, sabotage.as_ref(), progress);
    let clean_up = async || {
        panel.set(&json!({})).await.context("the provider may still misbehave; restart outside/psp")?;
        if sabotage.is_some() { restore(layout, progress).await } else { Ok(()) }
    };
    conduct(layout, args.out.as_deref(), interrupt, progress, perform, clean_up).await
}

async fn perform(
    layout: &Layout,
    args: &PspHellArgs,
    panel: &Panel,
    sabotage: Option<&Sabotage>,
    progress: Progress<'_>,
) -> Result<Report> {
    let PspHellArgs { duration, rate, without, .. } = *args;
    let billing = Billing {
        drill: "psp-hell",
        without: without.map(Guard::name),
        hypothesis: format!(
            "while the provider misbehaves in all its ways at once, {rate} orders a second come in for {duration:?} and every {RETURNED}th comes\n\
             back in part. By the provider's own ledger each order that stands was charged once, each refund paid once, no forged webhook\n\
             was believed, and what was in doubt is resolved. Where the provider took less than it was told to, the books say so."
        ),
        needs_redelivery: false,
        short_charges: true,
    };
    billing.announce(progress);
    if let Some(sabotage) = sabotage {
        sabotage.begin(layout, progress).await?;
    }
    let mut stage = Stage::set(layout, progress).await?;
    let orders = usize::try_from(duration.as_secs() * u64::from(rate)).unwrap_or(usize::MAX);
    let carts = stage.fill(orders).await?;
    let before = panel.counts().await?;
    panel.set(&hell()).await?;
    stage.note("the provider misbehaves");
    let asked = load::run(&stage.shops, carts, rate, stage.start).await?;
    stage.note("the last order was asked for; some come back");
    let some: Vec<_> = asked.iter().step_by(RETURNED).collect();
    let given_back = returns::give_back(layout, &stage.shops, &some).await?;
    panel.set(&json!({})).await?;
    stage.note("the provider behaves");
    let (behaves, after) = (Instant::now(), panel.counts().await?);

    let mut fault = Examined::default();
    for name in FAULTS {
        let bitten = after.get(name).copied().unwrap_or_default() - before.get(name).copied().unwrap_or_default();
        fault.count(usize::try_from(bitten).unwrap_or(usize::MAX), name);
        if bitten == 0 {
            fault.cannot_tell(format!("{name} never came about: take a longer --duration"));
        }
    }
    let mut report = stage.judge(billing, &asked, behaves, fault).await?;
    let stores = sources::read(layout).await;
    report.verdicts.insert(
        5,
        conclude("REFUNDED ONCE", || {
            let (orders, provider) = (stores.orders.all()?, stores.provider.as_ref().map_err(Clone::clone)?);
            Ok(returns::refunded_once(&given_back, orders, provider))
        }),
    );
    let believed = panel.counts().await?.get("forgeries_believed").copied().unwrap_or_default();
    report.verdicts.insert(6, conclude("NO FORGERY", || Ok(no_forgery(believed))));
    report
        .figure("returns accepted", given_back.iter().filter(|one| matches!(one, GivenBack::Accepted { .. })).count());
    Ok(report)
}

fn no_forgery(believed: u64) -> Examined {
    let mut examined = Examined::default();
    examined.require(believed == 0, || format!("{believed} forged or old webhooks were taken"));
    examined
}

/// Everything at once; the times leave the services room to ask and to try again within the minute that a shopper waits.
fn hell() -> Value {
    json!({
        "latency_ms": 20, "jitter_ms": 80,
        "slow": 0.05, "slow_ms": 1_200,
        "timeout_after_work": 0.06, "timeout_before_work": 0.04,
        "straggler": 0.04, "straggler_ms": 2_500, "timeout_hold_ms": 4_000,
        "server_error": 0.12,
        "decline": 0.05, "partial_capture": 0.03,
        "duplicate_webhook": 0.3, "reorder_webhook": 0.2, "webhook_delay_ms": 1_500,
        "forged_signature": 0.1, "forged_content": 0.1, "replayed_webhook": 0.1,
    })
}

/// The provider's fault panel.
struct Panel {
    http: reqwest::Client,
    url: String,
}

impl Panel {
    fn of(layout: &Layout) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).build()?;
        Ok(Self { http, url: format!("http://{}/faults", layout.psp()) })
    }

    /// Replaces every setting; what is left out is off.
    async fn set(&self, faults: &Value) -> Result<()> {
        let answer =
            self.http.put(&self.url).json(faults).send().await.context("the provider's panel does not answer")?;
        answer.error_for_status()?;
        Ok(())
    }

    /// How often each fault came about since the provider started.
    async fn counts(&self) -> Result<BTreeMap<String, u64>> {
        let answer = self.http.get(format!("{}/counts", self.url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}
