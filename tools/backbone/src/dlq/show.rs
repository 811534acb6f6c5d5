//! `backbone dlq show`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{bail, ensure};
use chrono::{DateTime, Utc};
use ids::Region;
use rdkafka::error::KafkaResult;
use rdkafka::message::{Message as _, OwnedMessage};

use super::letter::Letter;
use super::position::{Asked, Place, Position};
use super::{ago, applied_at, payload, read, settlement};
use crate::audit::sources::Unreadable;
use crate::platform::{Layout, Progress};
use crate::spine::topics::{Topics, header};

pub(super) async fn run(layout: &Layout, asked: &Asked, print: Progress<'_>) -> anyhow::Result<ExitCode> {
    let (position, record) = find(layout, asked).await?;
    let letter = Letter::of(position, &record);
    let applied = read::applied(layout, position.region, std::slice::from_ref(&letter)).await?;
    let settlements = settlement::read(layout, position.region, std::slice::from_ref(&letter)).await?;
    if let Some(known) = settlements.of(&letter) {
        print(&format!("settled {} by {}: {}", ago(Some(known.at), Utc::now()), known.by, known.reason));
    }
    print(&text(&letter, &record, applied_at(&letter, &applied), Utc::now()));
    Ok(ExitCode::SUCCESS)
}

/// The record that lies there; without a region, the one that lies there in either.
///
/// # Errors
/// There is none, there are two, or a Kafka cannot be read.
pub(super) async fn find(layout: &Layout, asked: &Asked) -> anyhow::Result<(Position, OwnedMessage)> {
    let regions = asked.region.map_or_else(|| Region::ALL.into(), |region| vec![region]);
    let mut found = Vec::new();
    for position in regions.into_iter().map(|region| asked.place.of(region)) {
        let record = Fetcher::of(layout, position.region)?.fetch(position.place).await?;
        found.extend(record.map(|record| (position, record)));
    }
    ensure!(found.len() < 2, "both regions have a letter {}; put east/ or west/ before it", asked.place);
    match found.pop() {
        Some(found) => Ok(found),
        None => bail!("there is no letter {}, or it is gone; `backbone dlq list` shows what there is", asked.place),
    }
}

/// Fetches letters from one region's Kafka.
pub(super) struct Fetcher {
    region: Region,
    topics: Arc<Topics>,
}

impl Fetcher {
    /// From the Kafka of `region`.
    ///
    /// # Errors
    /// The client refuses its settings.
    pub(super) fn of(layout: &Layout, region: Region) -> KafkaResult<Self> {
        Ok(Self { region, topics: Arc::new(Topics::of(&layout.kafka_bootstrap(region))?) })
    }

    /// The record at a place; `None` when there is none.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(super) async fn fetch(&self, place: Place) -> Result<Option<OwnedMessage>, Unreadable> {
        let unreadable = |why: String| Unreadable::new(format!("the {} Kafka", self.region), why);
        let topics = self.topics.clone();
        let read = tokio::task::spawn_blocking(move || {
            topics.record(&place.dead_letter_topic(), place.partition, place.offset)
        });
        read.await.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))
    }
}

fn text(letter: &Letter, record: &OwnedMessage, applied: Option<DateTime<Utc>>, now: DateTime<Utc>) -> String {
    let Letter { position, consumer, class, reason, .. } = letter;
    let said = |name| header(record, name).unwrap_or("unknown");
    let state = match applied {
        Some(_) => format!("settled: {consumer} applied it {}", ago(applied, now)),
        None => "open".to_owned(),
    };
    let origin = letter.origin.map_or_else(
        || "an unknown place".to_owned(),
        |(partition, offset)| format!("{} partition {partition} offset {offset}", said("dlq_topic")),
    );
    let trace = header(record, "traceparent").and_then(|traceparent| traceparent.split('-').nth(1));
    let mut lines = vec![
        format!("{position}: {state}"),
        format!("refused by  {consumer} ({class}), {} ({})", said("dlq_time"), ago(letter.refused_at, now)),
        format!("because     {reason}"),
        format!("came from   {origin}"),
        format!("event       {}, {} of {}", said("ce_id"), said("ce_type"), said("ce_time")),
        format!("said by     {}, for region {}", said("ce_source"), said("ce_homeregion")),
        format!("about       {}", letter.key.as_deref().unwrap_or("unknown")),
        format!("trace       {}", trace.unwrap_or("none")),
        format!("payload     {}", indented(&payload::show(position.place.topic, record.payload().unwrap_or_default()))),
    ];
    if letter.is_abridged {
        let (bytes, digest) = (said("dlq_payload_bytes"), said("dlq_payload_sha256"));
        lines.push(format!("abridged    the payload had {bytes} bytes, sha256 {digest}; above is its beginning"));
    }
    if applied.is_none() && (letter.event.is_none() || letter.is_abridged) {
        lines.push(format!("\nit cannot be replayed; to close it: backbone dlq settle {position} --reason …"));
    } else if applied.is_none() {
        lines.push(format!("\nonce the cause is mended: backbone dlq replay {position}"));
    }
    lines.join("\n")
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n            ")
}

#[cfg(test)]
mod tests {
    use contracts::order::v1::OrderShipped;
    use ids::EventId;
    use prost::Message as _;

    use super::super::letter::tests::record;
    use super::*;

    #[test]
    fn a_letter_is_shown_whole_and_says_what_to_do() {
        let event = EventId::generate().to_string();
        let payload = OrderShipped { order_id: "an order".to_owned() }.encode_to_vec();
        let headers = [
            ("ce_id", event.as_str()),
            ("ce_type", "order.shipped.v1"),
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("dlq_error_class", "poison"),
            ("dlq_reason", "no payment"),
            ("dlq_consumer", "payment"),
            ("dlq_topic", "order.shipped.v1"),
            ("dlq_partition", "2"),
            ("dlq_offset", "9"),
            ("dlq_time", "2026-01-01T00:00:00Z"),
        ];
        let record = record(&payload, &headers);
        let place = Place { topic: "order.shipped.v1", partition: 2, offset: 5 };
        let letter = Letter::of(place.of(Region::East), &record);
        let now = letter.refused_at.unwrap_or_default() + chrono::TimeDelta::seconds(90);
        let shown = text(&letter, &record, None, now);
        for part in [
            "east/order.shipped.v1/2/5: open\n",
            "payment (poison), 2026-01-01T00:00:00Z (1m 30s ago)\n",
            "because     no payment\n",
            "order.shipped.v1 partition 2 offset 9\n",
            &event,
            "trace       4bf92f3577b34da6a3ce929d0e0e4736\n",
            "                order_id: \"an order\",\n",
            "backbone dlq replay east/order.shipped.v1/2/5",
        ] {
            assert!(shown.contains(part), "{part:?} in\n{shown}");
        }
        let settled = text(&letter, &record, Some(now), now);
        assert!(settled.contains("settled: payment applied it 0s ago") && !settled.contains("replay"), "{settled}");
    }
}
