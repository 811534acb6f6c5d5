//! A dead letter: an event that a consumer refused, and what it said about it. Its payload stays where it is.

use chrono::{DateTime, Utc};
use ids::EventId;
use rdkafka::message::Message;

use super::position::Position;
use crate::spine::topics::{header, published_at};

/// What the headers that a dead letter has beside its event's own begin with.
pub const HEADER_PREFIX: &str = "dlq_";

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub position: Position,
    /// The consumer group that refused it.
    pub consumer: String,
    /// `poison`, `retries_exhausted` or `undecodable`.
    pub class: String,
    /// In words.
    pub reason: String,
    /// Partition and offset in the topic that the event came from.
    pub origin: Option<(i32, i64)>,
    /// When it was refused.
    pub refused_at: Option<DateTime<Utc>>,
    /// The event. `None` when its headers are not those of an event.
    pub event: Option<EventId>,
    /// What the event happened to: the record's key.
    pub key: Option<String>,
    /// The record was too large for its letter, which holds its beginning only.
    pub is_abridged: bool,
}

/// What is refused once however often it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Matter {
    region: ids::Region,
    topic: &'static str,
    consumer: String,
    subject: Subject,
}

/// An event by its id, and what has none by the place where it was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Event(EventId),
    Place(Option<(i32, i64)>),
}

impl Letter {
    /// The letter in a record. A header that is missing or malformed leaves its part unknown: a letter is never refused itself.
    pub fn of(position: Position, record: &impl Message) -> Self {
        let said = |name| header(record, name).unwrap_or("unknown").to_owned();
        let number = |name| header(record, name).and_then(|text| text.parse::<i64>().ok());
        let partition = number("dlq_partition").and_then(|number| i32::try_from(number).ok());
        let key = record.key().and_then(|key| std::str::from_utf8(key).ok());
        Self {
            position,
            consumer: said("dlq_consumer"),
            class: said("dlq_error_class"),
            reason: said("dlq_reason"),
            origin: partition.zip(number("dlq_offset")),
            refused_at: header(record, "dlq_time").and_then(|time| time.parse().ok()).or_else(|| published_at(record)),
            event: header(record, "ce_id").and_then(|id| id.parse().ok()),
            key: key.map(str::to_owned),
            is_abridged: header(record, "dlq_abridged").is_some(),
        }
    }

    /// What was refused, as a settlement names it.
    pub fn subject(&self) -> String {
        match (self.event, self.origin) {
            (Some(event), _) => format!("event {event}"),
            (None, Some((partition, offset))) => format!("place {partition}/{offset}"),
            // A stray among the letters: itself.
            (None, None) => format!("letter {}/{}", self.position.place.partition, self.position.place.offset),
        }
    }

    /// What it is about: two letters of one matter are the same refusal, seen twice.
    pub fn matter(&self) -> Matter {
        Matter {
            region: self.position.region,
            topic: self.position.place.topic,
            consumer: self.consumer.clone(),
            subject: self.event.map_or(Subject::Place(self.origin), Subject::Event),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use ids::Region;
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::super::position::Place;
    use super::*;

    /// A record with these headers.
    pub fn record(payload: &[u8], headers: &[(&str, &str)]) -> OwnedMessage {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
        let (payload, key) = (Some(payload.to_vec()), Some(b"an order".to_vec()));
        OwnedMessage::new(payload, key, "a.dlq".to_owned(), Timestamp::CreateTime(1_000), 2, 5, Some(headers))
    }

    /// A letter at offset `offset` about `event`, refused `seconds` after the epoch.
    pub fn letter(offset: i64, event: EventId, seconds: i64) -> Letter {
        let place = Place { topic: "order.shipped.v1", partition: 2, offset };
        Letter {
            position: place.of(Region::East),
            consumer: "payment".to_owned(),
            class: "poison".to_owned(),
            reason: "it was told to be".to_owned(),
            origin: Some((2, 9)),
            refused_at: DateTime::from_timestamp(seconds, 0),
            event: Some(event),
            key: None,
            is_abridged: false,
        }
    }

    #[test]
    fn a_letter_says_who_refused_what_and_why() {
        let event = EventId::generate();
        let place = Place { topic: "order.shipped.v1", partition: 2, offset: 5 };
        let headers = [
            ("ce_id", event.to_string()),
            ("dlq_error_class", "poison".to_owned()),
            ("dlq_reason", "no such payment".to_owned()),
            ("dlq_consumer", "payment".to_owned()),
            ("dlq_partition", "3".to_owned()),
            ("dlq_offset", "77".to_owned()),
            ("dlq_time", "2026-01-01T00:00:00.5Z".to_owned()),
        ];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let letter = Letter::of(place.of(Region::East), &record(b"", &headers));
        assert_eq!((letter.event, letter.origin), (Some(event), Some((3, 77))));
        assert_eq!((letter.consumer.as_str(), letter.class.as_str()), ("payment", "poison"));
        assert_eq!(letter.refused_at.unwrap().to_rfc3339(), "2026-01-01T00:00:00.500+00:00");
        assert_eq!(letter.key.as_deref(), Some("an order"));
    }

    #[test]
    fn a_stray_record_among_the_letters_is_still_a_letter() {
        let place = Place { topic: "order.shipped.v1", partition: 2, offset: 5 };
        let letter = Letter::of(place.of(Region::East), &record(b"", &[("dlq_offset", "many")]));
        assert_eq!((letter.event, letter.origin, letter.consumer.as_str()), (None, None, "unknown"));
        assert_eq!(letter.refused_at, DateTime::from_timestamp_millis(1_000));
    }
}
