//! `backbone bench`: measures the running system and writes `docs/benchmarks.md`.
//!
//! Each benchmark owns a section of the document ([`document`]) and replaces no other, so that they can run one by one, by
//! several commands. A section is a text beside this code, filled with [`table`] and with where it was measured ([`machine`]);
//! whether an aim was met is computed ([`aim`]). [`preflight`] refuses early what could not be measured.

pub mod aim;
mod checkout;
mod crdt;
pub mod document;
mod elsewhere;
mod idle;
pub mod machine;
mod memory;
mod preflight;
mod replay;
mod replication;
mod spine;
pub mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use self::document::replace_section;
use self::machine::{Host, Machine};
use crate::client::DeploymentArgs;
use crate::load::{self, CheckoutArgs};
use crate::platform::{self, Layout};
use crate::replay::report::{Measured, write_json};
use crate::replay::{ReplayArgs, run as run_replay};

pub use self::spine::{SpineWorker, run_worker as run_spine_worker};

/// Customers at once in the replay: enough to keep two cores busy; more only makes each wait longer.
const CUSTOMERS: usize = 16;

/// Flags of `backbone bench`.
#[derive(Clone, Debug, clap::Args)]
pub struct BenchArgs {
    /// The month to replay, such as 2010-12.
    #[arg(long, default_value = "2010-12")]
    month: String,
    /// Folder of the data set; else ../shared/data/online-retail or data/online-retail.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The document whose sections are replaced.
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.md")]
    out: PathBuf,
    /// Length of the run at the highest rate of checkouts, in seconds.
    #[arg(long, default_value_t = load::SECONDS, value_parser = load::in_seconds())]
    seconds: u64,
    #[command(flatten)]
    replication: replication::ReplicationArgs,
    #[command(flatten)]
    spine: spine::SpineArgs,
    #[command(flatten)]
    idle: idle::IdleArgs,
    /// Run this one alone.
    #[arg(long)]
    only: Option<Benchmark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Benchmark {
    /// The cart's data type beside others, as a program of its own: needs no running system.
    Crdt,
    /// What a system costs that nobody uses, part by part.
    Idle,
    /// A month of real orders, and the memory of each process before and after.
    Replay,
    /// The highest rate of checkouts, beside what the databases could do.
    Checkout,
    /// An order placed at its shopper's home and in the other region.
    Elsewhere,
    /// Carts crossing regions: how soon an add is there, and how fast the backlog of a cut drains.
    Replication,
    /// Events: from a commit to its effect, beside Debezium where `deploy/debezium/fetch` has put it, and a long outbox. Needs
    /// no service.
    Spine,
}

/// Measures and writes. Exit status 0 when everything was measured and nothing that was measured was wrong; a missed aim is a
/// finding, not a failure.
///
/// # Errors
/// Something needed is missing, or the system could not be used; sections that were not measured stay as they were.
pub async fn run(run_dir: &Path, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let wanted = |benchmark| args.only.is_none_or(|only| only == benchmark);
    preflight::document(&args.out)?;
    if args.only == Some(Benchmark::Crdt) {
        measure_crdt(args).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let layout = &Layout::load(run_dir)?;
    if args.only == Some(Benchmark::Spine) {
        let is_good = measure_spine(layout, args).await?;
        return Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    preflight::system(layout).await?;
    if wanted(Benchmark::Checkout) {
        preflight::checkout()?;
    }
    if wanted(Benchmark::Replay) {
        preflight::replay(layout, &args.month, args.data.as_deref()).await?;
    }
    let machine = Machine::look(layout).await;
    if wanted(Benchmark::Idle) {
        measure_idle(layout, args, &machine).await?;
    }
    if wanted(Benchmark::Crdt) {
        measure_crdt(args).await?;
    }
    if wanted(Benchmark::Replay) {
        measure_replay(layout, args, &machine).await?;
    }
    let mut is_good = !wanted(Benchmark::Checkout) || measure_checkout(layout, args, &machine).await?;
    if wanted(Benchmark::Elsewhere) {
        measure_elsewhere(layout, args, &machine).await?;
    }
    if wanted(Benchmark::Replication) {
        is_good &= measure_replication(layout, args, &machine).await?;
    }
    if wanted(Benchmark::Spine) {
        is_good &= measure_spine(layout, args).await?;
    }
    eprintln!("wrote {}", args.out.display());
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// On the machine alone: no server takes part.
async fn measure_crdt(args: &BenchArgs) -> anyhow::Result<()> {
    let measured_with = Host::look().measured_with("backbone bench --only crdt");
    replace_section(&args.out, "crdt", &crdt::section(&measured_with, &crdt::measure().await?)?)?;
    Ok(())
}

async fn measure_idle(layout: &Layout, args: &BenchArgs, machine: &Machine) -> anyhow::Result<()> {
    let shares = idle::measure(layout, &args.idle).await?;
    write_json(&layout.run_dir.join("bench-idle.json"), &shares)?;
    let seconds = args.idle.idle_seconds;
    let measured_with = machine.measured_with(&format!("backbone bench --only idle --idle-seconds {seconds}"));
    replace_section(&args.out, "idle", &idle::section(&measured_with, &shares, seconds))?;
    Ok(())
}

async fn measure_replay(layout: &Layout, args: &BenchArgs, machine: &Machine) -> anyhow::Result<()> {
    let json = layout.run_dir.join("bench-replay.json");
    let before = platform::status(layout).await?;
    let asked = ReplayArgs {
        month: args.month.clone(),
        data: args.data.clone(),
        concurrency: CUSTOMERS,
        json: Some(json.clone()),
        deployment: deployment(layout),
    };
    let ended = run_replay(asked).await?;
    let after = platform::status(layout).await?;
    anyhow::ensure!(ended == ExitCode::SUCCESS, "the replay went wrong, so its figures are not written down");
    let measured = read_measured(&json)?;
    // Where somebody keeps the data set is their own affair.
    let measured_with = machine.measured_with(&format!("backbone bench --month {}", args.month));
    replace_section(&args.out, "replay", &replay::section(&measured_with, &measured))?;
    replace_section(&args.out, "memory", &memory::section(&measured_with, &before, &after))?;
    Ok(())
}

fn read_measured(json: &Path) -> anyhow::Result<Measured> {
    let text = std::fs::read(json).with_context(|| format!("cannot read {}", json.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("cannot read {}", json.display()))
}

/// Whether every answer was true and the rate held.
async fn measure_checkout(layout: &Layout, args: &BenchArgs, machine: &Machine) -> anyhow::Result<bool> {
    let asked = CheckoutArgs::in_full(args.seconds, deployment(layout));
    let report = load::checkout::measure(&asked.deployment.find()?, &asked).await?;
    load::report::print(&report)?;
    write_json(&layout.run_dir.join("bench-checkout.json"), &report)?;
    let measured_with = machine.measured_with(&format!("backbone bench --seconds {}", args.seconds));
    replace_section(&args.out, "checkout", &checkout::section(&measured_with, &report))?;
    Ok(report.is_good())
}

async fn measure_elsewhere(layout: &Layout, args: &BenchArgs, machine: &Machine) -> anyhow::Result<()> {
    let measured = elsewhere::measure(layout, &deployment(layout).find()?).await?;
    write_json(&layout.run_dir.join("bench-elsewhere.json"), &measured)?;
    let measured_with = machine.measured_with("backbone bench --only elsewhere");
    replace_section(&args.out, "elsewhere", &elsewhere::section(&measured_with, &measured))?;
    Ok(())
}

/// Whether everything that was acknowledged arrived.
async fn measure_replication(layout: &Layout, args: &BenchArgs, machine: &Machine) -> anyhow::Result<bool> {
    let measured = replication::measure(layout, &deployment(layout).find()?, &args.replication).await?;
    write_json(&layout.run_dir.join("bench-replication.json"), &measured)?;
    let replication::ReplicationArgs { cut, adds, backlog } = &args.replication;
    let cut = humantime::format_duration(*cut);
    let command = format!("backbone bench --only replication --adds {adds} --cut {cut} --backlog {backlog}");
    replace_section(&args.out, "replication", &replication::section(&machine.measured_with(&command), &measured))?;
    Ok(measured.is_good())
}

/// Whether each event had exactly one effect.
async fn measure_spine(layout: &Layout, args: &BenchArgs) -> anyhow::Result<bool> {
    let servers = preflight::servers(layout, spine::PARTS).await?;
    let measured = spine::measure(layout, servers, &args.spine).await?;
    write_json(&layout.run_dir.join("bench-spine.json"), &measured)?;
    let spine::SpineArgs { events, spine_seconds, drain } = &args.spine;
    let command =
        format!("backbone bench --only spine --events {events} --spine-seconds {spine_seconds} --drain {drain}");
    let measured_with = Machine::look(layout).await.measured_with(&command);
    replace_section(&args.out, "spine", &spine::section(&measured_with, &measured))?;
    Ok(measured.is_good())
}

fn deployment(layout: &Layout) -> DeploymentArgs {
    DeploymentArgs { east: None, west: None, run_dir: layout.run_dir.clone() }
}
