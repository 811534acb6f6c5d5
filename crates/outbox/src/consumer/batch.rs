//! What has already been fetched, as one batch.

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use rdkafka::consumer::StreamConsumer;
use rdkafka::error::KafkaError;
use tokio_util::sync::CancellationToken;

use crate::event::Received;
use crate::headers::{self, HeaderError};
use crate::kafka::SpineContext;
use crate::record::Delivered;

/// Most events of one batch: one commit for 64 is already a small part of their cost, and what a failed batch repeats
/// stays small.
pub(super) const BATCH_EVENTS_MAX: usize = 64;
/// No event is added to a batch that holds this many payload bytes.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// One record and the event in it.
pub(super) struct Item {
    pub(super) delivered: Delivered,
    pub(super) event: Result<Received, HeaderError>,
}

/// What is kept in order: the records of one key of a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) topic: String,
    pub(super) partition: i32,
    key: Option<Bytes>,
}

impl Item {
    pub(super) fn key(&self) -> Key {
        let record = &self.delivered.record;
        Key { topic: record.topic.clone(), partition: self.delivered.partition, key: record.key.clone() }
    }

    /// Where it lies, as people write it: `order.shipped.v1/2/17`.
    pub(super) fn place(&self) -> String {
        format!("{}/{}/{}", self.delivered.record.topic, self.delivered.partition, self.delivered.offset)
    }

    /// What it costs to hold on to.
    pub(super) fn payload_bytes(&self) -> usize {
        self.delivered.record.payload.as_ref().map_or(0, |payload| payload.len())
    }
}

/// Waits for a record, then takes those that are there without waiting: in the order in which they were fetched, which within a
/// partition is that of the partition. None when `token` was cancelled first. Being dropped loses nothing: it waits for nothing
/// any more once it has a record.
///
/// # Errors
/// The client's notices, when no record came before them.
pub(super) async fn next(
    kafka: &StreamConsumer<SpineContext>,
    token: &CancellationToken,
) -> Result<Option<Vec<Item>>, KafkaError> {
    let mut stream = kafka.stream();
    let first = tokio::select! {
        biased;
        () = token.cancelled() => return Ok(None),
        first = stream.next() => first,
    };
    let Some(first) = first.transpose()? else { return Ok(None) };
    let mut items = vec![item(Delivered::copy_of(&first))];
    let mut bytes = items[0].payload_bytes();
    while items.len() < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
        // A notice ends the batch; it is only of interest when nothing works, and then it comes again.
        let Some(Some(Ok(message))) = stream.next().now_or_never() else { break };
        let item = item(Delivered::copy_of(&message));
        bytes += item.payload_bytes();
        items.push(item);
    }
    Ok(Some(items))
}

fn item(delivered: Delivered) -> Item {
    let event = headers::decode(&delivered.record);
    Item { delivered, event }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::record::Record;

    /// A record of key `key` at `offset` of partition 0 of topic `t`.
    pub(in crate::consumer) fn item(key: &'static str, offset: i64) -> Item {
        let record =
            Record { topic: "t".to_owned(), key: Some(key.into()), payload: Some("p".into()), headers: Vec::new() };
        super::item(Delivered { record, partition: 0, offset, timestamp_ms: Some(offset) })
    }
}
