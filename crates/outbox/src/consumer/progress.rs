//! How far each partition has been settled.

use std::collections::BTreeMap;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::batch::Item;
use crate::kafka::SpineContext;

/// The offset to go on from, per topic and partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Progress(BTreeMap<(String, i32), i64>);

impl Progress {
    /// The item is settled, and with it all before it in its partition.
    pub(super) fn passed(&mut self, item: &Item) {
        let place = (item.delivered.record.topic.clone(), item.delivered.partition);
        self.0.insert(place, item.delivered.offset + 1);
    }

    pub(super) fn passed_all(&mut self, items: &[Item]) {
        for item in items {
            self.passed(item);
        }
    }

    /// Notes it with the client, which tells the group once a second: a commit for each batch was the broker's largest work at
    /// a few events a batch, and what a crash repeats the inbox skips.
    ///
    /// A partition that has moved to another member is left out by the client: the new member goes on from where it is.
    pub(super) fn store(&self, kafka: &StreamConsumer<SpineContext>) -> KafkaResult<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::with_capacity(self.0.len());
        for ((topic, partition), offset) in &self.0 {
            offsets.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        }
        kafka.store_offsets(&offsets)
    }
}
