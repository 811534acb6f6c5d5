//! `backbone replay`: a month of real orders through both regions, reconciled to the penny and the unit.
//!
//! In order: [`data`] finds and reads the month, [`plan`] (with [`rows`], [`pence`] and [`refunds`]) turns it into orders,
//! [`stock`] fills the shelves, [`ordering`] shops, [`settling`] waits, [`stock`] checks that the shelves are bare,
//! [`returning`] refunds, and [`reconcile`] adds up what the system says happened. Every request's key is derived from the data
//! ([`names`]), so replaying a month again changes nothing.

pub mod data;
pub mod expected;
mod names;
mod ordering;
pub mod pence;
pub mod plan;
mod progress;
mod reconcile;
pub mod refunds;
pub mod report;
mod returning;
pub mod rows;
pub mod run;
mod settling;
mod shoppers;
mod stock;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use self::expected::{Check, Expected, compare};
use self::report::Measured;
use self::run::Run;
use crate::client::{Deployment, DeploymentArgs};

/// Customers at once: enough to keep both cores busy; more only makes each wait longer.
const CONCURRENCY: usize = 16;

/// Flags of `backbone replay`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// The month, such as 2010-12.
    #[arg(long, value_parser = month)]
    pub month: String,
    /// Folder of the data set; else ../shared/data/online-retail or data/online-retail.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Customers at once.
    #[arg(long, default_value_t = CONCURRENCY)]
    pub concurrency: usize,
    /// Where to write what was measured.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the system is.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

fn month(text: &str) -> Result<String, String> {
    let fits =
        text.len() == 7 && text.bytes().enumerate().all(|(i, b)| if i == 4 { b == b'-' } else { b.is_ascii_digit() });
    if fits { Ok(text.to_owned()) } else { Err("expected a month such as 2010-12".to_owned()) }
}

/// Replays a month into the running system and reconciles. Exit status 0 only when every figure agrees and nothing failed;
/// 2 when the data is absent.
///
/// # Errors
/// The data or the system cannot be used at all.
pub async fn run(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    let Some(folder) = data::find(args.data.as_deref(), &args.month) else {
        eprintln!("the orders of {} are not here\n{}", args.month, data::WHERE_TO_GET_IT);
        return Ok(ExitCode::from(2));
    };
    let month = data::read_month(&folder, &args.month)?;
    let planned = Expected::of(&month);
    let expected = match data::read_expected(&folder, &args.month)? {
        Some(expected) => expected,
        None => {
            eprintln!("{} has no expected.json: reconciling against this program's own plan", folder.display());
            planned.clone()
        }
    };
    let differing: Vec<Check> =
        compare(&expected.figures(), &planned.figures()).into_iter().filter(|check| !check.is_ok()).collect();
    if !differing.is_empty() {
        eprintln!("the plan of {} is not what is expected of it; nothing was replayed", args.month);
        report::print_checks(&differing)?;
        return Ok(ExitCode::FAILURE);
    }
    let deployment = args.deployment.find()?;
    let run = Run::new(&deployment, month, args.concurrency.max(1))?;
    let outcome = replay(&run, &deployment, &expected).await?;
    report::print_checks(&outcome.checks)?;
    report::print_measured(&outcome.measured, &run.failures())?;
    if let Some(file) = &args.json {
        report::write_json(file, &outcome.measured)?;
    }
    Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How a replay ended.
#[derive(Debug)]
pub struct Outcome {
    /// Every figure, expected and actual.
    pub checks: Vec<Check>,
    /// How fast it went.
    pub measured: Measured,
}

impl Outcome {
    /// Whether every figure agrees and nothing failed.
    pub fn is_ok(&self) -> bool {
        self.measured.failures == 0 && self.checks.iter().all(Check::is_ok)
    }
}

/// The phases of a replay, one after the other.
///
/// # Errors
/// A region's catalogue or stock cannot be used at all. All else that fails is noted in `run` and in the outcome.
pub async fn replay(run: &Run, deployment: &Deployment, expected: &Expected) -> anyhow::Result<Outcome> {
    phase("loading offers and stock", stock::load(run)).await?;
    let start = Instant::now();
    ordering::place_all(run).await;
    let elapsed = start.elapsed();
    eprintln!("ordered in {:.1} s", elapsed.as_secs_f64());
    phase("waiting until all is shipped and captured", settling::until_captured(run)).await;
    let shelves = phase("reading the shelves", stock::read(run)).await?;
    let (probed, refused) = phase("ordering one more", stock::probe(run, &deployment.session_key)).await;
    let refund_lines = phase("refunding", returning::return_all(run)).await;
    phase("waiting until all is refunded", settling::until_refunded(run)).await;
    let sums = phase("reading all orders back", reconcile::read_back(run)).await;

    let actual = sums.figures();
    // Of what is expected, the counts of rows and of unmatched refunds are the plan's alone: checked before anything began.
    let observable = |name: &str| actual.iter().any(|(n, _)| n == name) || name.starts_with("revenue_pence.");
    let wanted: Vec<_> = expected.figures().into_iter().filter(|(name, _)| observable(name)).collect();
    let orders = expected.orders as i64;
    let mut checks: Vec<Check> = [
        ("orders shipped and captured", orders, sums.shipped_and_captured),
        ("orders whose lines sum to their total", orders, sums.lines_sum_to_total),
        ("offers at zero in both regions", expected.offers as i64, shelves.offers_at_zero),
        ("units sold off both shelves", expected.units, shelves.units_sold),
        ("orders of one more unit refused", probed, refused),
        ("refund_lines_matched", expected.refund_lines_matched as i64, refund_lines as i64),
    ]
    .map(|(name, expected, actual)| Check { name: name.to_owned(), expected: Some(expected), actual: Some(actual) })
    .into();
    checks.extend(compare(&wanted, &actual));
    let differences = checks.iter().filter(|check| !check.is_ok()).count();
    Ok(Outcome { measured: Measured::of(run, elapsed, differences), checks })
}

async fn phase<T>(what: &str, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let done = work.await;
    let took: Duration = start.elapsed();
    eprintln!("{what}: {:.1} s", took.as_secs_f64());
    done
}
