//! `backbone order explain`: the timeline of one order, put together from what every store of both regions, both Kafkas and the
//! payment provider's own ledger say about it, and what it waits for.
//!
//! [`gather`] reads [`facts`]; [`timeline`], [`heading`] and [`waits`] are pure and make an [`explanation`] of them. Like the audit it
//! asks no service and changes nothing. Every query goes by a key of the order, and topics are read from the order's beginning on. A
//! store that cannot be read is named, and the rest is told all the same.
//!
//! It shows no personal data: neither who ordered nor where the goods go, and no card token is fetched.

mod databases;
mod events;
mod explanation;
mod facts;
mod find;
mod gather;
mod heading;
mod ledger;
mod logs;
#[cfg(test)]
mod sample;
mod timeline;
mod waits;
mod wanted;

use crate::platform::Layout;

/// Which order, and how.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// The order's id, or the beginning of it.
    order: wanted::Wanted,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Explains the order, and returns what to show.
///
/// # Errors
/// There is no such order, more than one, or none is found and a region's orders cannot be read.
pub async fn run(layout: &Layout, args: &ExplainArgs) -> anyhow::Result<String> {
    let facts = gather::gather(layout, &args.order).await?;
    let explanation = explanation::of(&facts);
    Ok(if args.json { serde_json::to_string_pretty(&explanation)? } else { explanation.to_string() })
}
