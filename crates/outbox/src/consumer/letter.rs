//! What a dead letter holds. Pure.
//!
//! The error path is never narrower than the path it guards. A consumer is handed whatever its broker takes, which may be larger
//! than what a producer may send, and a letter is larger than its record by what it says about it. So a letter that would be too
//! large is abridged: where the record lies, how large it is, a digest of it, and its beginning.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use sha2::{Digest as _, Sha256};

use super::batch::Item;
use super::failure::ErrorClass;
use crate::kafka::RECORD_BYTES_MAX;
use crate::record::{Header, Record};

/// Longest reason in bytes; it is for a human, and a header is no place for more.
const REASON_BYTES_MAX: usize = 512;
/// What the format adds to a header (lengths), and to a record and the batch around it.
const HEADER_OVERHEAD_BYTES: usize = 10;
const RECORD_OVERHEAD_BYTES: usize = 512;
/// Of an abridged record: the beginning of its payload, its key, its headers and each of them. Together some 90 KB at most.
const BEGINNING_BYTES_MAX: usize = 64 * 1024;
const KEY_BYTES_MAX: usize = 1024;
const HEADERS_MAX: usize = 32;
const HEADER_BYTES_MAX: usize = 512;

/// How much of the record goes into its letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// Key, headers and the beginning of the payload, each cut to its bound.
    Beginning,
    /// What identifies it, and nothing of its payload.
    Place,
}

impl Extent {
    /// What is tried next when the broker finds a letter of this extent too large.
    pub(super) const fn narrower(self) -> Option<Self> {
        match self {
            Self::Whole => Some(Self::Beginning),
            Self::Beginning => Some(Self::Place),
            Self::Place => None,
        }
    }
}

/// What is said about a refused record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Verdict<'a> {
    pub(super) group: &'a str,
    pub(super) class: ErrorClass,
    pub(super) reason: &'a str,
    pub(super) at: DateTime<Utc>,
}

/// The letter, of the greatest extent up to `extent` that a producer may send.
pub(super) fn letter(item: &Item, verdict: Verdict<'_>, extent: Extent) -> (Record, Extent) {
    let letter = of_extent(item, verdict, extent);
    match extent.narrower() {
        Some(narrower) if bytes(&letter) + RECORD_OVERHEAD_BYTES > RECORD_BYTES_MAX => {
            self::letter(item, verdict, narrower)
        }
        _ => (letter, extent),
    }
}

fn of_extent(item: &Item, verdict: Verdict<'_>, extent: Extent) -> Record {
    let original = &item.delivered.record;
    let mut letter = match extent {
        Extent::Whole => original.clone(),
        Extent::Beginning => abridged(original, BEGINNING_BYTES_MAX),
        Extent::Place => abridged(original, 0),
    };
    letter.topic = format!("{}.dlq", original.topic);
    letter.headers.extend([
        Header::new("dlq_error_class", verdict.class.name()),
        Header::new("dlq_reason", prefix(verdict.reason, REASON_BYTES_MAX).to_owned()),
        Header::new("dlq_consumer", verdict.group.to_owned()),
        Header::new("dlq_topic", original.topic.clone()),
        Header::new("dlq_partition", item.delivered.partition.to_string()),
        Header::new("dlq_offset", item.delivered.offset.to_string()),
        Header::new("dlq_time", verdict.at.to_rfc3339_opts(SecondsFormat::Millis, true)),
    ]);
    if extent != Extent::Whole {
        let payload = original.payload.as_deref().unwrap_or_default();
        letter.headers.extend([
            Header::new("dlq_abridged", "true"),
            Header::new("dlq_record_bytes", bytes(original).to_string()),
            Header::new("dlq_payload_bytes", payload.len().to_string()),
            Header::new("dlq_payload_sha256", hex::encode(Sha256::digest(payload))),
        ]);
    }
    letter
}

/// The record with each of its parts cut to its bound. An event's own headers are short, so they stay as they are.
fn abridged(original: &Record, payload_bytes_max: usize) -> Record {
    let cut = |bytes: &Bytes, most: usize| bytes.slice(..bytes.len().min(most));
    let headers = original.headers.iter().filter(|header| header.name.len() <= HEADER_BYTES_MAX).take(HEADERS_MAX);
    let headers = headers.map(|header| Header {
        name: header.name.clone(),
        value: header.value.as_ref().map(|value| cut(value, HEADER_BYTES_MAX)),
    });
    Record {
        topic: original.topic.clone(),
        key: original.key.as_ref().map(|key| cut(key, KEY_BYTES_MAX)),
        payload: original.payload.as_ref().map(|payload| cut(payload, payload_bytes_max)),
        headers: headers.collect(),
    }
}

fn bytes(record: &Record) -> usize {
    let len = |part: &Option<Bytes>| part.as_ref().map_or(0, Bytes::len);
    let headers = record.headers.iter().map(|header| header.name.len() + len(&header.value) + HEADER_OVERHEAD_BYTES);
    len(&record.key) + len(&record.payload) + headers.sum::<usize>()
}

/// The longest prefix of `text` of at most `bytes_max` bytes that ends between two characters.
fn prefix(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::item;
    use super::*;

    /// What a broker takes by default: `message.max.bytes`.
    const BROKER_BYTES_MAX: usize = 1_048_588;

    fn verdict(reason: &str) -> Verdict<'_> {
        Verdict { group: "payment", class: ErrorClass::Undecodable, reason, at: DateTime::UNIX_EPOCH }
    }

    fn said<'a>(letter: &'a Record, name: &str) -> &'a str {
        std::str::from_utf8(letter.header(name).unwrap()).unwrap()
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(prefix("déjà", 2), "d");
        assert_eq!(prefix("déjà", 3), "dé");
        assert_eq!(prefix("déjà", 512), "déjà");
    }

    #[test]
    fn the_largest_event_that_can_be_appended_has_a_whole_letter() {
        let mut event = item("an order", 7);
        event.delivered.record.payload = Some(vec![b'x'; crate::PAYLOAD_BYTES_MAX].into());
        let (letter, extent) = letter(&event, verdict(&"r".repeat(2_000)), Extent::Whole);
        assert_eq!((extent, letter.payload), (Extent::Whole, event.delivered.record.payload));
    }

    #[test]
    fn what_is_too_large_in_any_of_its_parts_has_a_letter_that_can_be_sent_and_says_what_it_was() {
        let big = Bytes::from(vec![b'x'; BROKER_BYTES_MAX]);
        let (mut payload, mut key, mut value, mut many) = (item("k", 7), item("k", 7), item("k", 7), item("k", 7));
        payload.delivered.record.payload = Some(big.clone());
        key.delivered.record.key = Some(big.clone());
        value.delivered.record.headers = vec![Header::new("big", big.clone())];
        many.delivered.record.headers = (0..50_000).map(|_| Header::new("a header's name", "value")).collect();
        for item in [payload, key, value, many] {
            let (letter, extent) = letter(&item, verdict("too large"), Extent::Whole);
            assert_eq!(extent, Extent::Beginning);
            assert!(bytes(&letter) < 100_000, "{} bytes", bytes(&letter));
            assert_eq!((said(&letter, "dlq_topic"), said(&letter, "dlq_offset")), ("t", "7"));
            assert_eq!(said(&letter, "dlq_record_bytes"), bytes(&item.delivered.record).to_string());
        }
    }

    #[test]
    fn an_abridged_letter_holds_the_beginning_and_a_digest_of_all() {
        let mut item = item("k", 7);
        let payload = [vec![b'a'; BEGINNING_BYTES_MAX], vec![b'b'; BROKER_BYTES_MAX]].concat();
        item.delivered.record.payload = Some(payload.clone().into());
        let (letter, _) = letter(&item, verdict("too large"), Extent::Whole);
        assert_eq!(letter.payload.as_deref(), Some(&payload[..BEGINNING_BYTES_MAX]));
        assert_eq!(said(&letter, "dlq_payload_bytes"), payload.len().to_string());
        assert_eq!(said(&letter, "dlq_payload_sha256"), hex::encode(Sha256::digest(&payload)));
        let (place, extent) = super::letter(&item, verdict("too large"), Extent::Place);
        assert_eq!((extent, place.payload.as_deref()), (Extent::Place, Some(b"".as_slice())));
    }
}
