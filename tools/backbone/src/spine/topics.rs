//! Reads topics. Partitions are assigned, not subscribed to, and no offset is committed: reading disturbs no consumer group.
//!
//! librdkafka's consumer blocks: call all of this in [`tokio::task::spawn_blocking`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ids::{EventId, OrderId};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers as _, Message, OwnedMessage};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// How long the broker may take to answer, or to send the next record.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries of a partition that is between leaders.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A region's topics.
pub struct Topics(BaseConsumer<Quiet>);

/// From where a topic is read.
#[derive(Clone, Copy, Debug)]
pub enum Since {
    /// From the oldest record that is left.
    Beginning,
    /// From the first record published then or later.
    Time(DateTime<Utc>),
}

/// How much of a topic was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The broker has deleted records that would have been read: that something is not there says nothing.
    pub is_truncated: bool,
    /// The reader broke off before the high watermark.
    pub is_cut_short: bool,
}

/// The partitions to read: where each ends, and where each begins as the client wants it.
struct Span {
    /// What is still to be read of each partition: up to this offset.
    ends: BTreeMap<i32, i64>,
    starts: TopicPartitionList,
    is_truncated: bool,
}

impl Topics {
    /// A reader of the brokers' topics, not connected yet.
    ///
    /// # Errors
    /// The client refuses its settings.
    pub fn of(brokers: &str) -> KafkaResult<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            // Without a group librdkafka refuses to assign. This one is never joined and commits nothing.
            .set("group.id", "backbone-onlooker")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("socket.timeout.ms", "10000")
            // The end of a partition is told by an empty answer, which the broker holds back this long.
            .set("fetch.wait.max.ms", "20")
            // Memory: what may be fetched ahead. The default is 64 MiB.
            .set("queued.max.messages.kbytes", "8192")
            .set_log_level(RDKafkaLogLevel::Critical);
        Ok(Self(config.create_with_context(Quiet)?))
    }

    /// Hands every record from `since` up to the high watermarks to `take`, until it breaks off.
    ///
    /// # Errors
    /// The broker, the topic or a partition is not there.
    pub fn read(
        &self,
        topic: &str,
        since: Since,
        mut take: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()>,
    ) -> KafkaResult<Extent> {
        let Span { mut ends, starts, is_truncated } = self.span(topic, since)?;
        let mut extent = Extent { is_truncated, is_cut_short: false };
        if !ends.is_empty() {
            self.0.assign(&starts)?;
        }
        while !ends.is_empty() && !extent.is_cut_short {
            match self.0.poll(ANSWER_WITHIN) {
                None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
                Some(Ok(message)) => {
                    // What came in since the watermark was read belongs to a later reading.
                    let Some(&end) = ends.get(&message.partition()) else { continue };
                    extent.is_cut_short = message.offset() < end && take(&message).is_break();
                    if message.offset() + 1 >= end {
                        ends.remove(&message.partition());
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(ends.remove(&partition)),
                Some(Err(error)) => return Err(error),
            }
        }
        self.0.unassign()?;
        Ok(extent)
    }

    /// The record at this place; `None` when there is none, or no longer.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn record(&self, topic: &str, partition: i32, offset: i64) -> KafkaResult<Option<OwnedMessage>> {
        let (low, high) = self.watermarks(topic, partition)?;
        if !(low..high).contains(&offset) {
            return Ok(None);
        }
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        self.0.assign(&place)?;
        let found = match self.0.poll(ANSWER_WITHIN) {
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            Some(Ok(message)) => Some(message.detach()).filter(|record| record.offset() == offset),
            Some(Err(KafkaError::PartitionEOF(_))) => None,
            Some(Err(error)) => return Err(error),
        };
        self.0.unassign()?;
        Ok(found)
    }

    fn span(&self, topic: &str, since: Since) -> KafkaResult<Span> {
        let metadata = self.0.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
        let described = metadata.topics().iter().find(|candidate| candidate.name() == topic);
        let described = described.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopic))?;
        if let Some(error) = described.error() {
            return Err(KafkaError::MetadataFetch(error.into()));
        }
        let mut span = Span { ends: BTreeMap::new(), starts: TopicPartitionList::new(), is_truncated: false };
        let partitions: Vec<i32> = described.partitions().iter().map(|partition| partition.id()).collect();
        let firsts = match since {
            Since::Beginning => None,
            Since::Time(time) => Some(self.firsts_since(topic, &partitions, time)?),
        };
        for partition in partitions {
            let (low, high) = self.watermarks(topic, partition)?;
            // No record of then or later: nothing to read.
            let start =
                firsts.as_ref().map_or(low, |firsts| firsts.get(&partition).map_or(high, |first| low.max(*first)));
            span.is_truncated |= low > 0 && start == low;
            if high > start {
                span.ends.insert(partition, high);
                span.starts.add_partition_offset(topic, partition, Offset::Offset(start))?;
            }
        }
        Ok(span)
    }

    /// The offset of each partition's first record published at `time` or later, where there is one.
    fn firsts_since(&self, topic: &str, partitions: &[i32], time: DateTime<Utc>) -> KafkaResult<BTreeMap<i32, i64>> {
        let mut asked = TopicPartitionList::new();
        for partition in partitions {
            asked.add_partition_offset(topic, *partition, Offset::Offset(time.timestamp_millis()))?;
        }
        let answer = self.0.offsets_for_times(asked, ANSWER_WITHIN)?;
        let firsts = answer.elements().into_iter().filter_map(|first| match first.offset() {
            Offset::Offset(offset) => Some((first.partition(), offset)),
            _ => None,
        });
        Ok(firsts.collect())
    }

    /// The oldest offset of a partition and the next one. A partition whose leader has just changed, or whose topic was just made, is
    /// asked again for a while: what it answers then says nothing about its events.
    fn watermarks(&self, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
        let give_up_at = Instant::now() + ANSWER_WITHIN;
        loop {
            match self.0.fetch_watermarks(topic, partition, ANSWER_WITHIN) {
                Err(error) if is_between_leaders(&error) && Instant::now() < give_up_at => {
                    std::thread::sleep(ASK_AGAIN_AFTER);
                    self.0.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
                }
                answered => return answered,
            }
        }
    }
}

fn is_between_leaders(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    matches!(error.rdkafka_error_code(), Some(LeaderNotAvailable | NotLeaderForPartition))
}

/// The text of the record's header of that name; of several the last, which is the one added last.
pub fn header<'a>(record: &'a impl Message, name: &str) -> Option<&'a str> {
    let headers = record.headers()?;
    let found = (0..headers.count()).rev().map(|place| headers.get(place)).find(|header| header.key == name)?;
    std::str::from_utf8(found.value?).ok()
}

/// Order and id of an event of ours; what is wrong with a record that is none.
///
/// # Errors
/// What is wrong with it.
pub fn event_of(record: &impl Message) -> Result<(OrderId, EventId), &'static str> {
    let key = record.key().and_then(|key| std::str::from_utf8(key).ok());
    let order = key.and_then(|key| key.parse().ok()).ok_or("its key is no order id")?;
    let event = header(record, "ce_id").and_then(|id| id.parse().ok()).ok_or("its ce_id is no event id")?;
    if header(record, "ce_type") != Some(record.topic()) {
        return Err("its ce_type is not the topic");
    }
    Ok((order, event))
}

/// When the record was published, as its producer's clock had it.
pub fn published_at(record: &impl Message) -> Option<DateTime<Utc>> {
    record.timestamp().to_millis().and_then(DateTime::from_timestamp_millis)
}

/// Errors are returned; librdkafka need not print them too.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Quiet {}
