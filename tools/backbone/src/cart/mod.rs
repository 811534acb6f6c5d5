//! `backbone cart`: what the people do who look after carts.

mod renumber;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use ids::Region;

use crate::platform::Layout;

/// What to do about carts.
#[derive(Debug, Args)]
pub struct CartArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Let a region's database of carts go on under a new replica number: after it was restored from a backup, before it takes edits again.
    /// What it forgot comes back from the other region.
    Renumber {
        /// The region whose database was restored.
        region: Region,
        /// The number, above all that the region ever had; odd in east, even in west [default: the next one that neither region has seen]
        #[arg(long)]
        to: Option<u8>,
    },
}

/// Does what was asked.
///
/// # Errors
/// A database does not answer, or refuses the number.
pub async fn run(layout: &Layout, asked: CartArgs, print: &(dyn Fn(&str) + Send + Sync)) -> Result<ExitCode> {
    match asked.command {
        Command::Renumber { region, to } => renumber::run(layout, region, to, print).await?,
    }
    Ok(ExitCode::SUCCESS)
}
