//! `backbone drill partition`: the link between the regions is cut while both write the same carts; then it is healed.
//!
//! # How it judges
//! The writers ([`writers`]) send what was fixed beforehand ([`plan`]), each request when it is due. What they are told is the
//! history ([`history`]): each acknowledged change with the version that came with it, which names all operations that its region had
//! seen. From the history alone a reference model ([`model`]) says what every line must hold, and the judges ([`judge`]) compare
//! that with what both regions' stores and front doors hold in the end. [`availability`] judges the answers, [`evidence`] the fault
//! itself.
//!
//! # What it leaves behind
//! The link healed, the cart service as it was, a few dozen carts that nobody will order, and 20 offers without stock. [`Link`] heals
//! by itself even when the drill is killed.

mod availability;
mod convergence;
mod ending;
mod evidence;
mod history;
mod judge;
mod model;
mod plan;
mod report;
mod run;
mod sabotage;
mod writers;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;
use wan::Direction;

use self::report::Report;
use self::sabotage::CartMerge;
use super::link::Link;
use crate::platform::{Layout, Progress};

/// Shortest drill: there must be time for a look under the cut.
const DURATION_MIN: Duration = Duration::from_secs(5);
/// Longest drill. Every acknowledged write is remembered, in some 300 bytes: at 1,000 writes a second in each region, 2 GB.
const DURATION_MAX: Duration = Duration::from_secs(60 * 60);
/// What an interrupted drill ends with: it has found nothing out.
const INTERRUPTED_STATUS: u8 = 2;

/// Flags of `backbone drill partition`.
#[derive(Clone, Debug, clap::Args)]
pub struct PartitionArgs {
    /// How long the writers write: a fifth of it before the cut, three fifths under it, a fifth after the heal.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    duration: Duration,
    /// Writes a second in each region.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// Carts, of 20 lines each, that both regions write.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u16).range(1..=500))]
    carts: u16,
    /// Cut this way only: east-west or west-east.
    #[arg(long, value_name = "WAY")]
    one_way: Option<Direction>,
    /// How long after the last write the regions may take to agree.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration)]
    converge_within: Duration,
    /// What is written where and when follows from this number [default: drawn, and reported]
    #[arg(long)]
    seed: Option<u64>,
    /// How carts merge. With last-writer-wins the drill must fail: that shows what its verdicts are worth. On a system to throw away.
    #[arg(long, value_enum, default_value_t)]
    cart: CartMerge,
    /// Where to write the report as Markdown too, besides the run directory's `reports`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (DURATION_MIN..=DURATION_MAX).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("from {DURATION_MIN:?} to {DURATION_MAX:?}"))
    }
}

/// Runs the drill, cleans up, and reports.
///
/// # Errors
/// The drill could not be carried out, or could not clean up.
pub async fn run(
    layout: &Layout,
    mut args: PartitionArgs,
    interrupt: CancellationToken,
    progress: Progress<'_>,
) -> anyhow::Result<ExitCode> {
    args.seed.get_or_insert_with(rand::random);
    let link = Link::of(layout, args.one_way)?;
    link.require_open().await?;
    // Caught here, so that even a panic is followed by the cleaning.
    let body = AssertUnwindSafe(run::perform(layout, &args, progress)).catch_unwind();
    let report = tokio::select! {
        report = body => Some(report.unwrap_or_else(|_| Err(anyhow!("the drill itself panicked")))),
        () = interrupt.cancelled() => None,
    };
    let healed = link.clean_up().await;
    let restored = args.cart.end(layout, progress).await;
    healed.and(restored)?;
    let Some(report) = report else {
        progress("interrupted; the link is healed");
        return Ok(ExitCode::from(INTERRUPTED_STATUS));
    };
    conclude(layout, &args, &report?, progress)
}

fn conclude(
    layout: &Layout,
    args: &PartitionArgs,
    report: &Report,
    progress: Progress<'_>,
) -> anyhow::Result<ExitCode> {
    progress(&report.to_string());
    let files = report.write(&layout.run_dir.join("reports"), args.out.as_deref())?;
    for file in files {
        progress(&format!("wrote {}", file.display()));
    }
    Ok(report.outcome().exit_code())
}
