//! `backbone dlq`: the dead letters of both regions, what is in them, and another try.
//!
//! A dead letter is an event that a consumer refused. It lies in `<topic>.dlq` as it came, with headers that say who refused it and
//! why. Once the cause is mended it can be published again under its own id: consumers that have applied it skip it, and the one that
//! refused it applies it. From then on its letter is not open any more; see [`standing`]. One that nobody can replay is closed by name.

#[cfg(test)]
mod kafka_tests;
mod letter;
mod list;
mod payload;
mod position;
mod publish;
mod read;
mod replay;
mod settle;
mod settlement;
mod show;
mod standing;

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use ids::Region;

use crate::audit::sources::Read;
use crate::platform::{Layout, Progress, TOPICS};

pub(crate) use letter::Letter;
#[cfg(test)]
pub(crate) use position::Place;
pub(crate) use publish::Publisher;
pub(crate) use standing::{Open, Standing, applied_at};

/// What to do with the dead letters.
#[derive(Debug, Args)]
pub struct DlqArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the open dead letters: per topic how many, how old and why, then each with its position.
    List(Which),
    /// Show one dead letter: who refused what and why, and the event itself.
    Show {
        /// Where it lies, as `list` prints it: east/order.shipped.v1/2/0
        position: position::Asked,
    },
    /// Publish dead letters again, as they came and under the same id, once what they failed of is mended.
    ///
    /// Consumers that have applied the event skip it; the one that refused it tries again. Exit status 0 if all were applied.
    Replay(replay::ReplayArgs),
    /// Close a dead letter that nobody can replay, with who and why: `list` goes on to show it, the audit accepts it.
    ///
    /// Refused again after that, it is open again.
    Settle(settle::SettleArgs),
}

/// Of which regions and topics.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Which {
    /// Only of this topic, such as order.shipped.v1.
    #[arg(long, value_parser = position::topic)]
    topic: Option<&'static str>,
    /// Only of this region.
    #[arg(long)]
    region: Option<Region>,
}

impl Which {
    fn regions(&self) -> Vec<Region> {
        self.region.map_or_else(|| Region::ALL.into(), |region| vec![region])
    }

    fn topics(&self) -> Vec<&'static str> {
        self.topic.map_or_else(|| TOPICS.into(), |topic| vec![topic])
    }
}

/// Does what was asked.
///
/// # Errors
/// A Kafka or an inbox cannot be read, or there is no such letter.
pub async fn run(layout: &Layout, args: &DlqArgs, print: Progress<'_>) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List(which) => list::run(layout, which, print).await,
        Command::Show { position } => show::run(layout, position, print).await,
        Command::Replay(args) => replay::run(layout, args, print).await,
        Command::Settle(args) => settle::run(layout, args, print).await,
    }
}

/// The letters of a region by what became of them, for the audit and for who explains an order.
pub(crate) struct Judged {
    pub standing: Standing,
    /// Every letter, with when its effect came after all.
    pub letters: Vec<(Letter, Option<DateTime<Utc>>)>,
    /// Topics with more letters than are read at once.
    pub cut_short: Vec<&'static str>,
}

/// Reads the letters of `topics` and judges them.
///
/// # Errors
/// [`crate::audit::sources::Unreadable`]: the Kafka, or an inbox that was needed.
pub(crate) async fn judged(layout: &Layout, region: Region, topics: Vec<&'static str>) -> Read<Judged> {
    let read = read::letters(layout, region, topics).await?;
    let applied = read::applied(layout, region, &read.letters).await?;
    let judged = read.letters.iter().map(|letter| (letter.clone(), applied_at(letter, &applied))).collect();
    let settlements = settlement::read(layout, region, &read.letters).await?;
    Ok(Judged {
        standing: standing::stand(read.letters, &applied, &settlements),
        letters: judged,
        cut_short: read.cut_short,
    })
}

/// How long ago, in words: `3m 12s ago`.
pub(crate) fn ago(then: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    let Some(then) = then else { return "at an unknown time".to_owned() };
    // Another machine's clock may be ahead of ours.
    let seconds = u64::try_from((now - then).num_seconds()).unwrap_or_default();
    format!("{} ago", humantime::format_duration(Duration::from_secs(seconds)))
}
