//! An event on its way into the outbox, and one that came out of Kafka.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use ids::{EventId, Region};
use prost::Message;

use crate::consumer::HandleError;

/// Largest payload in bytes that [`crate::append`] can store, the same as the check on the table's column. The largest
/// legal message of every event fits: a test of `limits` computes it.
pub const PAYLOAD_BYTES_MAX: usize = limits::EVENT_BYTES_MAX;

/// An event to append. Its id, time, trace context and home region are added by [`crate::append`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Name and version, which is also the topic: `order.placed.v1`.
    pub event_type: &'static str,
    /// What kind of thing it happened to: `order`.
    pub aggregate_type: &'static str,
    /// Which one; the key of the record. Events of one aggregate are delivered in the order of their appending.
    pub aggregate_id: String,
    /// The encoded Protobuf message, at most [`PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
}

impl NewEvent {
    /// An event that carries a Protobuf message.
    pub fn new(
        event_type: &'static str,
        aggregate_type: &'static str,
        aggregate_id: impl Into<String>,
        message: &impl Message,
    ) -> Self {
        Self { event_type, aggregate_type, aggregate_id: aggregate_id.into(), payload: message.encode_to_vec() }
    }
}

/// An event as a handler gets it: every field has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Stays the same however often the event is published or delivered.
    pub id: EventId,
    /// Name and version: `order.placed.v1`.
    pub event_type: String,
    /// The region that acts on the event; always the consumer's own when a handler sees it.
    pub home_region: Region,
    /// What it happened to: the key of the record.
    pub aggregate_id: String,
    /// The encoded Protobuf message.
    pub payload: Bytes,
    /// W3C trace context of the request that caused it. The handler runs inside a span that continues it.
    pub traceparent: Option<String>,
    /// When it was appended.
    pub occurred_at: DateTime<Utc>,
}

impl Received {
    /// Decodes the payload as the message that the event type stands for.
    ///
    /// # Errors
    /// [`HandleError::Poison`]: the bytes are not that message, and will not be on another try.
    pub fn decode<M: Message + Default>(&self) -> Result<M, HandleError> {
        M::decode(self.payload.clone())
            .map_err(|error| HandleError::Poison(format!("payload of {} does not decode: {error}", self.event_type)))
    }
}
