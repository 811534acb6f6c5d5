//! `backbone dlq replay`: another try, and what came of it.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use ids::Region;

use super::letter::Letter;
use super::position::Asked;
use super::publish::Publisher;
use super::standing::AppliedAt;
use super::{Which, ago, applied_at, judged, read, show};
use crate::audit::both::Both;
use crate::platform::{Layout, Progress};

/// Letters of one `--all`: at a few milliseconds each, some seconds. What is beyond is left for the next.
const REPLAYED_MAX: usize = 1_000;
/// Between two looks at what came of it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Which letters, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct ReplayArgs {
    /// Where it lies, as `list` prints it: east/order.shipped.v1/2/0
    #[arg(required_unless_present = "all", conflicts_with_all = ["all", "topic", "region"])]
    position: Option<Asked>,
    /// All that are open, up to a thousand, the oldest first.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    which: Which,
    /// Say what would be published, and publish nothing.
    #[arg(long)]
    dry_run: bool,
    /// How long to wait for the consumers; one that fails tries for up to eight seconds before it refuses again.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    wait: Duration,
}

/// A letter whose event was published again.
struct Replayed {
    letter: Letter,
    /// Partition and offset of the repeat.
    published: (i32, i64),
}

/// What came of a replay.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Applied(DateTime<Utc>),
    /// With the reason.
    RefusedAgain(String),
    Waiting,
}

pub(super) async fn run(layout: &Layout, args: &ReplayArgs, print: Progress<'_>) -> anyhow::Result<ExitCode> {
    let chosen = match &args.position {
        Some(position) => one(layout, position, print).await?.into_iter().collect(),
        None => all(layout, &args.which, print).await?,
    };
    if args.dry_run {
        for letter in &chosen {
            print(&format!("would publish {}", described(letter)));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let replayed = publish(layout, chosen, print).await?;
    let outcomes = await_outcomes(layout, &replayed, args.wait).await?;
    for (replayed, outcome) in replayed.iter().zip(&outcomes) {
        print(&said(&replayed.letter, outcome, args.wait));
    }
    let applied = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Applied(_))).count();
    print(&format!("{} replayed, {applied} applied", outcomes.len()));
    Ok(if applied == outcomes.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The letter at a position; none, with a word about it, when it is settled.
async fn one(layout: &Layout, asked: &Asked, print: Progress<'_>) -> anyhow::Result<Option<Letter>> {
    let (position, record) = show::find(layout, asked).await?;
    let letter = Letter::of(position, &record);
    if let Some(why) = not_replayable(&letter) {
        bail!("{position} cannot be replayed: {why}; `backbone dlq settle` closes it");
    }
    let applied = read::applied(layout, position.region, std::slice::from_ref(&letter)).await?;
    let since = applied_at(&letter, &applied);
    if since.is_some() {
        print(&format!("{position} is settled: {} applied it {}", letter.consumer, ago(since, Utc::now())));
        return Ok(None);
    }
    Ok(Some(letter))
}

/// Why it cannot be published again.
fn not_replayable(letter: &Letter) -> Option<&'static str> {
    match letter.event {
        None => Some(NO_EVENT),
        Some(_) if letter.is_abridged => Some("its letter holds the beginning of the record only"),
        Some(_) => None,
    }
}

const NO_EVENT: &str = "it has no event id, and what has none cannot be applied once";

/// All open letters that can be replayed, the oldest first, an event that two consumers refused once for each of them.
async fn all(layout: &Layout, which: &Which, print: Progress<'_>) -> anyhow::Result<Vec<Letter>> {
    let mut chosen = Vec::new();
    for region in which.regions() {
        let open = judged(layout, region, which.topics()).await?.standing.open;
        chosen.extend(open.into_iter().map(|open| open.letter));
    }
    chosen.retain(|letter| match not_replayable(letter) {
        Some(why) => {
            print(&format!("{} is left: {why}; `backbone dlq settle` closes it", letter.position));
            false
        }
        None => true,
    });
    chosen.sort_by_key(|letter| letter.refused_at);
    if chosen.len() > REPLAYED_MAX {
        print(&format!(
            "{} letters are open; the oldest {REPLAYED_MAX} are replayed, repeat it for more",
            chosen.len()
        ));
        chosen.truncate(REPLAYED_MAX);
    }
    Ok(chosen)
}

async fn publish(layout: &Layout, chosen: Vec<Letter>, print: Progress<'_>) -> anyhow::Result<Vec<Replayed>> {
    let mut replayed = Vec::with_capacity(chosen.len());
    let [east, west] = Region::ALL.map(|region| {
        Ok::<_, rdkafka::error::KafkaError>((
            show::Fetcher::of(layout, region)?,
            Publisher::to(&layout.kafka_bootstrap(region))?,
        ))
    });
    let clients = Both { east: east?, west: west? };
    for letter in chosen {
        let position = letter.position;
        let (fetcher, publisher) = clients.of(position.region);
        let record = fetcher.fetch(position.place).await?;
        let record = record.with_context(|| format!("{position} is gone: its topic keeps letters for a time only"))?;
        let sent = publisher.publish(position.place.topic, &record).await;
        let published = sent.with_context(|| {
            format!(
                "{position} was not acknowledged; {} before it were. Replay again: what is applied is skipped",
                replayed.len()
            )
        })?;
        print(&format!("published {}", described(&letter)));
        replayed.push(Replayed { letter, published });
    }
    Ok(replayed)
}

/// Looks at the inboxes and the dead letters until each replay has come to an end, but not longer than `wait`.
async fn await_outcomes(layout: &Layout, replayed: &[Replayed], wait: Duration) -> anyhow::Result<Vec<Outcome>> {
    let give_up_at = Instant::now() + wait;
    let places: BTreeSet<(Region, &'static str)> =
        replayed.iter().map(|one| (one.letter.position.region, one.letter.position.place.topic)).collect();
    loop {
        let (mut letters, mut applied) = (Vec::new(), AppliedAt::new());
        for (region, topic) in &places {
            let there = read::letters(layout, *region, vec![topic]).await?.letters;
            applied.extend(read::applied(layout, *region, &there).await?);
            letters.extend(there);
        }
        let outcomes: Vec<Outcome> = replayed.iter().map(|one| outcome(one, &letters, &applied)).collect();
        if !outcomes.contains(&Outcome::Waiting) || Instant::now() >= give_up_at {
            return Ok(outcomes);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A refusal of the repeat names the place where the repeat was.
fn outcome(replayed: &Replayed, letters: &[Letter], applied: &AppliedAt) -> Outcome {
    if let Some(at) = applied_at(&replayed.letter, applied) {
        return Outcome::Applied(at);
    }
    let Letter { position, consumer, .. } = &replayed.letter;
    let is_of_the_repeat = |letter: &&Letter| {
        letter.position.region == position.region
            && letter.position.place.topic == position.place.topic
            && letter.consumer == *consumer
            && letter.origin == Some(replayed.published)
    };
    letters
        .iter()
        .find(is_of_the_repeat)
        .map_or(Outcome::Waiting, |letter| Outcome::RefusedAgain(letter.reason.clone()))
}

fn described(letter: &Letter) -> String {
    let Letter { position, consumer, reason, .. } = letter;
    let event = letter.event.map_or_else(|| "unknown".to_owned(), |event| event.to_string());
    let place = position.place.topic;
    format!("event {event} to {} {place}: {position}, refused by {consumer}: {reason}", position.region)
}

fn said(letter: &Letter, outcome: &Outcome, wait: Duration) -> String {
    let Letter { position, consumer, .. } = letter;
    match outcome {
        Outcome::Applied(_) => format!("{position}: applied by {consumer}"),
        Outcome::RefusedAgain(reason) => format!("{position}: refused again by {consumer}: {reason}"),
        Outcome::Waiting => {
            let wait = humantime::format_duration(wait);
            format!("{position}: not applied by {consumer} within {wait}; it is open until it is (is {consumer} up?)")
        }
    }
}

#[cfg(test)]
mod tests {
    use ids::EventId;

    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn the_end_of_a_replay_is_the_inbox_row_or_a_letter_about_the_repeat() {
        let event = EventId::generate();
        let replayed = Replayed { letter: letter(0, event, 10), published: (2, 40) };
        let first = letter(0, event, 10);
        let again = Letter { origin: Some((2, 40)), reason: "still poison".to_owned(), ..letter(1, event, 20) };
        let nothing = AppliedAt::new();
        assert_eq!(outcome(&replayed, std::slice::from_ref(&first), &nothing), Outcome::Waiting);
        let refused = Outcome::RefusedAgain("still poison".to_owned());
        assert_eq!(outcome(&replayed, &[first.clone(), again.clone()], &nothing), refused);
        let other = Letter { consumer: "inventory".to_owned(), ..again.clone() };
        assert_eq!(outcome(&replayed, &[first, other], &nothing), Outcome::Waiting);
        let at = DateTime::<Utc>::MIN_UTC;
        let applied = AppliedAt::from([((Region::East, "payment".to_owned(), event), at)]);
        assert_eq!(outcome(&replayed, &[again], &applied), Outcome::Applied(at));
    }
}
