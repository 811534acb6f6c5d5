//! `backbone drill`: breaks the running system on purpose, and judges what comes of it.
//!
//! A drill says first what it expects. It proves that its fault really bit and cleans up after itself, whatever happens; otherwise its
//! outcome is "inconclusive", never "passed". Each kind of drill is a folder here.

mod broker_loss;
mod crash_storm;
pub(crate) mod link;
mod orders;
pub(crate) mod partition;
mod psp_hell;
mod report;
mod rolling_restart;

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use crate::platform::{Hold, Layout, Progress};

/// Flags of `backbone drill`.
#[derive(Clone, Debug, clap::Args)]
pub struct DrillArgs {
    /// Which drill.
    #[command(subcommand)]
    what: Drill,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Drill {
    /// Cut the link between the regions while both write the same carts.
    Partition(partition::PartitionArgs),
    /// Kill the broker that leads most partitions while orders come in; needs three brokers a region.
    BrokerLoss(broker_loss::BrokerLossArgs),
    /// Kill a random process of ours at a random crash point every few seconds while orders come in.
    CrashStorm(crash_storm::CrashStormArgs),
    /// Let the payment provider misbehave in all its ways at once.
    PspHell(psp_hell::PspHellArgs),
    /// Restart every service, one after the other, under load.
    RollingRestart(rolling_restart::RollingRestartArgs),
}

/// Runs a drill on the running system. Exit status 0 if it passed, 1 if a promise was broken, 2 if that cannot be told.
/// `interrupt`: ends it early; it cleans up all the same.
///
/// # Errors
/// The system cannot be used, or was left broken: the error says how.
pub async fn run(
    layout: &Layout,
    args: DrillArgs,
    interrupt: CancellationToken,
    progress: Progress<'_>,
) -> anyhow::Result<ExitCode> {
    let _hold = Hold::take(&layout.run_dir)?;
    match args.what {
        Drill::Partition(args) => partition::run(layout, args, interrupt, progress).await,
        Drill::BrokerLoss(args) => broker_loss::run(layout, args, interrupt, progress).await,
        Drill::CrashStorm(args) => crash_storm::run(layout, args, interrupt, progress).await,
        Drill::PspHell(args) => psp_hell::run(layout, args, interrupt, progress).await,
        Drill::RollingRestart(args) => rolling_restart::run(layout, args, interrupt, progress).await,
    }
}
