//! `backbone dlq settle`: closes a letter that nobody can replay.

use std::process::ExitCode;

use chrono::Utc;

use super::letter::Letter;
use super::position::Asked;
use super::{ago, applied_at, read, settlement, show};
use crate::attribution;
use crate::platform::{Layout, Progress};

/// Which letter, who and why.
#[derive(Clone, Debug, clap::Args)]
pub struct SettleArgs {
    /// Where it lies, as `list` prints it: east/order.shipped.v1/2/0
    position: Asked,
    /// Why its effect is not missed. It is kept with the letter; no names of shoppers.
    #[arg(long)]
    reason: String,
    /// Who says so.
    #[arg(long, env = "USER", default_value = "unknown")]
    by: String,
}

pub(super) async fn run(layout: &Layout, args: &SettleArgs, print: Progress<'_>) -> anyhow::Result<ExitCode> {
    let (reason, by) = (attribution::reason(&args.reason)?, attribution::name("by", &args.by)?);
    let (position, record) = show::find(layout, &args.position).await?;
    let letter = Letter::of(position, &record);
    let one = std::slice::from_ref(&letter);
    let since = applied_at(&letter, &read::applied(layout, position.region, one).await?);
    if since.is_some() {
        print(&format!("{position} needs no settling: {} applied it {}", letter.consumer, ago(since, Utc::now())));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(known) = settlement::read(layout, position.region, one).await?.of(&letter) {
        print(&format!("{position} was settled by {} {}: {}", known.by, ago(Some(known.at), Utc::now()), known.reason));
        return Ok(ExitCode::SUCCESS);
    }
    settlement::write(layout, &letter, by, reason).await?;
    print(&format!("{position} is settled by {by}: {reason}"));
    Ok(ExitCode::SUCCESS)
}
