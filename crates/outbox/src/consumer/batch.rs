//! What has already been fetched, as one batch.

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

/// Records in the order in which they were fetched, which within a partition is that of the partition; at least one.
pub(super) struct Batch(Vec<Item>);

impl Batch {
    pub(super) fn items(&self) -> &[Item] {
        &self.0
    }

    /// The events, when all records are events.
    pub(super) fn events(&self) -> Option<Vec<&Received>> {
        self.0.iter().map(|item| item.event.as_ref().ok()).collect()
    }
}

/// Waits for a record, then takes those that are there without waiting. None when `token` was cancelled first.
///
/// # Errors
/// The client's notices, when no record came before them.
pub(super) async fn next(
    kafka: &StreamConsumer<SpineContext>,
    token: &CancellationToken,
) -> Result<Option<Batch>, KafkaError> {
    let mut stream = kafka.stream();
    let first = tokio::select! {
        biased;
        () = token.cancelled() => return Ok(None),
        first = stream.next() => first,
    };
    let Some(first) = first.transpose()? else { return Ok(None) };
    let mut items = vec![item(Delivered::copy_of(&first))];
    let mut bytes = payload_bytes(&items[0]);
    while items.len() < BATCH_EVENTS_MAX && bytes < BATCH_BYTES_MAX {
        // A notice ends the batch; it is only of interest when nothing works, and then it comes again.
        let Some(Some(Ok(message))) = stream.next().now_or_never() else { break };
        let item = item(Delivered::copy_of(&message));
        bytes += payload_bytes(&item);
        items.push(item);
    }
    Ok(Some(Batch(items)))
}

fn item(delivered: Delivered) -> Item {
    let event = headers::decode(&delivered.record);
    Item { delivered, event }
}

fn payload_bytes(item: &Item) -> usize {
    item.delivered.record.payload.as_ref().map_or(0, |payload| payload.len())
}
