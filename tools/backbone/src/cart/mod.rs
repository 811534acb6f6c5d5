//! `backbone cart`: what the people do who look after carts.

mod mend;
mod renumber;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use ids::Region;
use sqlx::{Connection as _, PgConnection};

use crate::platform::{Layout, secrets};

/// A local server answers at once or is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// What to do about carts.
#[derive(Debug, Args)]
pub struct CartArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show which stored values of a cart do not decode, and how they would be mended; with --apply, mend them. A value is made whole from
    /// what the other region has of it and from both logs. A line that neither region can read is dropped, and told with the orders that
    /// it may be about.
    Mend(mend::MendArgs),
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
        Command::Mend(args) => return mend::run(layout, &args, print).await,
        Command::Renumber { region, to } => renumber::run(layout, region, to, print).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A region's database of carts, as superuser.
async fn connect(layout: &Layout, region: Region) -> Result<PgConnection> {
    let url = secrets::superuser_url(layout, region, "cart")?;
    let connected = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect(&url)).await;
    connected.with_context(|| format!("{region}'s database does not answer"))?.map_err(Into::into)
}
