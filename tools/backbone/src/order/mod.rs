//! `backbone order`: one order, as the people see it who look after it.

mod explain;
mod operate;
mod parked;
mod regions;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::platform::Layout;
use operate::{Change, Decision};

/// What to do with an order.
#[derive(Debug, Args)]
pub struct OrderArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell what happened to an order, from every store of both regions, and what it waits for.
    Explain(explain::ExplainArgs),
    /// List the orders that nobody drives until somebody decides.
    Parked,
    /// Stop driving an order: its saga, the void of a cancelled one, its refunds. Nothing is lost.
    Park(Decision),
    /// Let what is parked of an order be driven on from where it stood.
    Retry(Decision),
    /// Unwind an order that is not placed yet: every compensation runs, and it ends as rejected.
    Compensate(Decision),
    /// Say that what is parked of an order was seen to by hand, so that nothing of it waits any more. The last resort: settle its payment
    /// first (`backbone payment`), then retry.
    Close(Decision),
}

/// Does what was asked.
///
/// # Errors
/// No region has the order, the order refuses, or a region does not answer.
pub async fn run(layout: &Layout, asked: OrderArgs, print: &(dyn Fn(&str) + Sync)) -> Result<ExitCode> {
    let shown = match asked.command {
        Command::Explain(args) => explain::run(layout, &args).await?,
        Command::Parked => parked::list(regions::all(layout)?).await?,
        Command::Park(decision) => operate::change(regions::all(layout)?, Change::Park, &decision).await?,
        Command::Retry(decision) => operate::change(regions::all(layout)?, Change::Retry, &decision).await?,
        Command::Compensate(decision) => operate::change(regions::all(layout)?, Change::Compensate, &decision).await?,
        Command::Close(decision) => operate::change(regions::all(layout)?, Change::Close, &decision).await?,
    };
    print(&shown);
    Ok(ExitCode::SUCCESS)
}
