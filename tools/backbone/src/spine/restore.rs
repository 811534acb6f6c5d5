//! `backbone events replay`: publishes again what a region's Kafka lost and the other region's still has.
//!
//! Both Kafkas get every event. A broker that lost the tail of its log, with its power or its disk, lacks some that the other has: they
//! are published where they are missing, as they came and under their own ids, in the order in which the other region has them. Consumers
//! that had applied them skip them, the others apply them. Repeating it is harmless.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use ids::{EventId, Region};
use rdkafka::error::KafkaResult;
use rdkafka::message::OwnedMessage;

use super::topics::{Since, Topics, event_of, header};
use crate::audit::sources::database::snapshot;
use crate::audit::sources::unpublished::{self, Lane, Unpublished};
use crate::dlq::Publisher;
use crate::platform::{Layout, Progress, TOPICS, secrets};

/// Events published of one topic in one go, held in memory until then: at a kilobyte each, a hundred megabytes.
const RESTORED_MAX: usize = 100_000;

/// What to do with the events.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Publish again what a region's Kafka lost and the other region's has. Exit status 0 if nothing is missing afterwards.
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// Events since then: a time (2026-01-01T12:00:00Z), or how long ago (2h). Choose it well before the loss.
    #[arg(long, value_parser = since)]
    since: DateTime<Utc>,
    /// Only into this region's Kafka.
    #[arg(long)]
    region: Option<Region>,
    /// Say what is missing, and publish nothing.
    #[arg(long)]
    dry_run: bool,
}

fn since(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text).map_err(|_| "expected a time or how long ago, such as 2h".to_owned())?;
    Utc::now()
        .checked_sub_signed(chrono::TimeDelta::from_std(ago).map_err(|error| error.to_string())?)
        .ok_or_else(|| "too long ago".into())
}

/// Does what was asked.
///
/// # Errors
/// A Kafka or a database cannot be read, or an event was not acknowledged.
pub async fn run(layout: &Layout, args: &EventsArgs, print: Progress<'_>) -> anyhow::Result<ExitCode> {
    let Command::Replay(args) = &args.command;
    let regions = args.region.map_or_else(|| Region::ALL.into(), |region| vec![region]);
    let mut is_whole = true;
    for region in regions {
        let publisher = Publisher::to(&layout.kafka_bootstrap(region))?;
        for topic in TOPICS {
            let missing = missing(layout, region, topic, args.since).await?;
            let verb = if args.dry_run { "would publish" } else { "publishing" };
            if !missing.records.is_empty() {
                print(&format!(
                    "{region} {topic}: {verb} {} events that the {} Kafka has",
                    missing.records.len(),
                    region.peer()
                ));
            }
            if missing.is_cut_short {
                print(&format!("{region} {topic}: there are more than {RESTORED_MAX}; repeat this"));
                is_whole = false;
            }
            for record in missing.records.iter().filter(|_| !args.dry_run) {
                let sent = publisher.publish(topic, record).await;
                sent.with_context(|| {
                    format!("an event of {topic} was not acknowledged by the {region} Kafka; repeat this")
                })?;
            }
            is_whole &= !args.dry_run || missing.records.is_empty();
            if !missing.on_their_way.is_empty() {
                print(&format!(
                    "{region} {topic}: {} events that the {region} Kafka lacks still wait for the link to the other region; repeat this \
                     once `backbone status` shows it mended: {}",
                    missing.on_their_way.len(),
                    missing.on_their_way.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", ")
                ));
                is_whole = false;
            }
        }
    }
    print(if is_whole { "nothing is missing that the other region has" } else { "not all is there yet" });
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a region's Kafka lacks of a topic.
struct Missing {
    /// The other region's records, in its order.
    records: Vec<OwnedMessage>,
    is_cut_short: bool,
    /// Published here, lost, and not yet there either: they are in a database's queue for the other region.
    on_their_way: Vec<EventId>,
}

async fn missing(
    layout: &Layout,
    region: Region,
    topic: &'static str,
    since: DateTime<Utc>,
) -> anyhow::Result<Missing> {
    let (here, there) = (layout.kafka_bootstrap(region), layout.kafka_bootstrap(region.peer()));
    let read = tokio::task::spawn_blocking(move || compare(&here, &there, topic, since));
    let (known, records, is_cut_short) = read.await?.with_context(|| format!("cannot read {topic} in both regions"))?;
    let mut on_their_way = Vec::new();
    for database in secrets::DATABASES {
        let waiting: Vec<Unpublished> = snapshot(layout, region, database, unpublished::read).await?;
        let lost = waiting.into_iter().filter(|row| row.lane == Lane::OutboxPeer && row.event_type == topic);
        on_their_way.extend(lost.map(|row| row.event).filter(|event| !known.contains(event)));
    }
    Ok(Missing { records, is_cut_short, on_their_way })
}

/// The ids that are here, and the records since then of which only the other region has the id. Whatever is older is compared too on
/// this side: the two regions publish at their own times.
fn compare(
    here: &str,
    there: &str,
    topic: &str,
    since: DateTime<Utc>,
) -> KafkaResult<(BTreeSet<EventId>, Vec<OwnedMessage>, bool)> {
    let mut known = BTreeSet::new();
    Topics::of(here)?.read(topic, Since::Beginning, |record| {
        known.extend(header(record, "ce_id").and_then(|id| id.parse::<EventId>().ok()));
        ControlFlow::Continue(())
    })?;
    let (mut records, mut seen) = (Vec::new(), BTreeSet::new());
    let extent = Topics::of(there)?.read(topic, Since::Time(since), |record| {
        // A record that is no event of ours is nobody's to bring back: what a foreign producer did there is refused there.
        if event_of(record).is_ok_and(|(_, event)| !known.contains(&event) && seen.insert(event)) {
            records.push(record.detach());
        }
        if records.len() < RESTORED_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok((known, records, extent.is_cut_short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        assert_eq!(since("2026-01-01T00:00:00Z").unwrap().to_rfc3339(), "2026-01-01T00:00:00+00:00");
        assert!(since("2h").unwrap() < Utc::now() - chrono::TimeDelta::minutes(119));
        assert!(since("yesterday").is_err());
    }
}
