//! The header codec: an outbox row to a Kafka record, and a record to an event.
//!
//! CloudEvents 1.0 in binary content mode of its Kafka protocol binding: the attributes are headers with the prefix
//! `ce_`, the payload stands alone and `content-type` names its encoding. `traceparent` is the W3C header under its own
//! name, as the tracing libraries of other languages expect it. Decoding is strict, because an event that we cannot
//! identify cannot be handled once.

use std::str::FromStr;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use ids::{EventId, Region};

use crate::event::Received;
use crate::record::{Header, Record};
use crate::relay::OutboxRow;

const ID: &str = "ce_id";
const TYPE: &str = "ce_type";
const SOURCE: &str = "ce_source";
const SPEC_VERSION: &str = "ce_specversion";
const TIME: &str = "ce_time";
/// CloudEvents extension: the region whose consumers act on the event.
const HOME_REGION: &str = "ce_homeregion";
const TRACEPARENT: &str = "traceparent";
const CONTENT_TYPE: &str = "content-type";

const SPEC_VERSION_1_0: &str = "1.0";
/// The same from Kafka Connect, whose `InsertHeader` takes the text for a number: see docs/debezium.md.
const SPEC_VERSION_1: &str = "1";
const PROTOBUF: &str = "application/protobuf";
/// Length in bytes of a version 00 `traceparent`: 2 + 32 + 16 + 2 hex digits and three dashes.
const TRACEPARENT_BYTES: usize = 55;

/// Why a record is not an event of ours. Names the part, never its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The header, the `key` or the `payload` is absent.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// It is there, but not what it must be.
    #[error("{0} is malformed")]
    Malformed(&'static str),
}

/// The record of an outbox row. `source`: where it was published, `/regions/east/services/order`.
pub(crate) fn encode(row: OutboxRow, source: &str) -> Record {
    let mut headers = vec![
        Header::new(SPEC_VERSION, SPEC_VERSION_1_0),
        Header::new(ID, row.id.to_string()),
        Header::new(TYPE, row.event_type.clone()),
        Header::new(SOURCE, source.to_owned()),
        Header::new(TIME, row.created_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
        Header::new(HOME_REGION, row.home_region),
        Header::new(CONTENT_TYPE, PROTOBUF),
    ];
    headers.extend(row.traceparent.map(|traceparent| Header::new(TRACEPARENT, traceparent)));
    Record { topic: row.event_type, key: Some(row.aggregate_id.into()), payload: Some(row.payload.into()), headers }
}

/// The event in a record.
///
/// A malformed `traceparent` is dropped: losing a trace is better than losing an order.
///
/// # Errors
/// [`HeaderError`] naming the first part that is missing or malformed.
pub(crate) fn decode(record: &Record) -> Result<Received, HeaderError> {
    if ![SPEC_VERSION_1_0, SPEC_VERSION_1].contains(&text(record, SPEC_VERSION)?) {
        return Err(HeaderError::Malformed(SPEC_VERSION));
    }
    if text(record, CONTENT_TYPE)? != PROTOBUF {
        return Err(HeaderError::Malformed(CONTENT_TYPE));
    }
    let event_type = text(record, TYPE)?;
    if event_type.is_empty() {
        return Err(HeaderError::Malformed(TYPE));
    }
    Ok(Received {
        id: parsed::<EventId>(record, ID)?,
        event_type: event_type.to_owned(),
        home_region: parsed::<Region>(record, HOME_REGION)?,
        aggregate_id: utf8(record.key.as_ref(), "key")?.to_owned(),
        payload: record.payload.clone().ok_or(HeaderError::Missing("payload"))?,
        traceparent: text(record, TRACEPARENT)
            .ok()
            .filter(|value| value.len() == TRACEPARENT_BYTES && value.is_ascii())
            .map(str::to_owned),
        occurred_at: parsed::<DateTime<Utc>>(record, TIME)?,
    })
}

fn text<'a>(record: &'a Record, name: &'static str) -> Result<&'a str, HeaderError> {
    utf8(record.header(name), name)
}

fn utf8<'a>(bytes: Option<&'a Bytes>, name: &'static str) -> Result<&'a str, HeaderError> {
    std::str::from_utf8(bytes.ok_or(HeaderError::Missing(name))?).map_err(|_| HeaderError::Malformed(name))
}

fn parsed<T: FromStr>(record: &Record, name: &'static str) -> Result<T, HeaderError> {
    text(record, name)?.parse().map_err(|_| HeaderError::Malformed(name))
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
