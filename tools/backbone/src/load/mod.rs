//! `backbone load checkout`: checkouts at a rate, in both regions, measured without coordinated omission.
//!
//! An open loop: orders arrive when they are due, not when the one before was answered, and latency counts from the moment an
//! order was due. A slow answer then shows in the orders behind it, as it would for shoppers; a closed loop would hide it by
//! asking less (Gil Tene, "How NOT to Measure Latency").
//!
//! [`search`] finds the highest rate that stays within the limit; [`open_loop`] runs one rate; [`carts`] fills carts beforehand,
//! unmeasured; [`commits`] counts what an order costs the databases, and [`ceiling`] what they could do at best; [`verify`] holds
//! every answer that a shopper got against what the system says afterwards.

pub mod carts;
pub mod ceiling;
pub mod checkout;
pub mod commits;
pub mod latency;
pub mod open_loop;
pub mod report;
pub mod search;
pub mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::client::DeploymentArgs;

/// Length of the run at the rate given or found, in seconds.
pub const SECONDS: u64 = 30;
/// Length of each step of the search, in seconds.
const STEP_SECONDS: u64 = 6;
/// No run is longer: its carts are all filled beforehand.
const SECONDS_MAX: u64 = 3_600;
/// The p99 that a rate has to stay below.
const P99_LIMIT_MS: u32 = 100;
/// Database clients per region that the ceiling is measured with.
const CLIENTS: u16 = 16;

/// Flags of `backbone load`.
#[derive(Clone, Debug, clap::Args)]
pub struct LoadArgs {
    /// What to load.
    #[command(subcommand)]
    pub what: Load,
}

/// What can be loaded.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Load {
    /// Checkouts of carts of three lines; finds the highest rate within the limit unless --rate is given.
    Checkout(CheckoutArgs),
}

/// Flags of `backbone load checkout`.
#[derive(Clone, Debug, clap::Args)]
pub struct CheckoutArgs {
    /// Orders a second over both regions; without it the highest good rate is searched.
    #[arg(long)]
    pub rate: Option<u32>,
    /// Seconds of the run at the rate given or found.
    #[arg(long = "duration", value_name = "SECONDS", default_value_t = SECONDS, value_parser = in_seconds())]
    pub seconds: u64,
    /// Seconds of each step of the search.
    #[arg(long = "step-duration", value_name = "SECONDS", default_value_t = STEP_SECONDS, value_parser = in_seconds())]
    pub step_seconds: u64,
    /// A rate is good while 99 of 100 orders are placed within this many milliseconds, and none fails.
    #[arg(long, default_value_t = P99_LIMIT_MS)]
    pub p99_limit_ms: u32,
    /// Database clients per region that the ceiling is measured with.
    #[arg(long, default_value_t = CLIENTS)]
    pub clients: u16,
    /// Neither count write transactions nor measure the ceiling; needs no database password.
    #[arg(long)]
    pub no_ceiling: bool,
    /// Ask for every order afterwards and compare it with the answer its shopper got.
    #[arg(long)]
    pub verify: bool,
    /// Where to write the report.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where the system is.
    #[command(flatten)]
    pub deployment: DeploymentArgs,
}

/// Reads the length of a run from the command line.
pub fn in_seconds() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=SECONDS_MAX)
}

impl CheckoutArgs {
    /// The whole measurement: search, ceiling and verification, the rate found held for so many seconds.
    pub fn in_full(seconds: u64, deployment: DeploymentArgs) -> Self {
        Self {
            rate: None,
            seconds,
            step_seconds: STEP_SECONDS.min(seconds),
            p99_limit_ms: P99_LIMIT_MS,
            clients: CLIENTS,
            no_ceiling: false,
            verify: true,
            json: None,
            deployment,
        }
    }
}

/// Loads the running system and reports. Exit status 0 only when the run at the rate had no error, stayed within the limit, and
/// (with `--verify`) every answer was true.
///
/// # Errors
/// The system or its databases cannot be used at all.
pub async fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let Load::Checkout(args) = args.what;
    let deployment = args.deployment.find()?;
    let report = checkout::measure(&deployment, &args).await?;
    report::print(&report)?;
    if let Some(file) = &args.json {
        crate::replay::report::write_json(file, &report)?;
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
