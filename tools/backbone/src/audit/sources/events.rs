//! What is in a region's Kafka: the events of every topic from the oldest record to the high watermark, ids only, and the dead
//! letters.
//!
//! Partitions are assigned, not subscribed to, and no offset is committed: reading disturbs no consumer group.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ids::{EventId, OrderId, Region};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::{Read, Unreadable};
use crate::platform::{Layout, TOPICS};

/// How long the broker may take to answer, or to send the next record.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Between two tries of a partition that is between leaders.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Records that are no events, and dead letters, described per topic; the rest are counted.
const DESCRIBED_MAX: usize = 10;

/// A region's Kafka.
#[derive(Clone, Debug, Default)]
pub struct Events {
    pub topics: BTreeMap<&'static str, Topic>,
    /// By the topic they were taken from.
    pub dead_letters: BTreeMap<&'static str, Odd>,
}

/// The events of a topic.
#[derive(Clone, Debug, Default)]
pub struct Topic {
    /// Orders and event ids, sorted, each pair once however often it was delivered.
    published: Vec<(OrderId, EventId)>,
    /// Records read, repeats included.
    pub records: usize,
    /// Records that are no events.
    pub malformed: Odd,
    /// The broker has deleted old records: that an event is not here says nothing.
    pub is_truncated: bool,
}

/// Records that should not be: how many, and the first of them in words.
#[derive(Clone, Debug, Default)]
pub struct Odd {
    pub total: usize,
    pub described: Vec<String>,
}

impl Odd {
    fn note(&mut self, describe: impl FnOnce() -> String) {
        self.total += 1;
        if self.described.len() < DESCRIBED_MAX {
            self.described.push(describe());
        }
    }
}

impl Topic {
    /// From what was read, in any order.
    pub fn new(mut published: Vec<(OrderId, EventId)>) -> Self {
        let records = published.len();
        published.sort_unstable();
        published.dedup();
        Self { published, records, ..Self::default() }
    }

    /// Ids of an order's events.
    pub fn of(&self, order: OrderId) -> impl Iterator<Item = EventId> {
        let first = self.published.partition_point(|(other, _)| *other < order);
        self.published[first..].iter().take_while(move |(other, _)| *other == order).map(|(_, event)| *event)
    }

    /// Orders that have events, some of them more than once.
    pub fn orders(&self) -> impl Iterator<Item = OrderId> {
        self.published.iter().map(|(order, _)| *order)
    }

    /// Distinct events.
    pub fn distinct(&self) -> usize {
        self.published.len()
    }

    #[cfg(test)]
    pub fn pairs_mut(&mut self) -> &mut Vec<(OrderId, EventId)> {
        &mut self.published
    }
}

impl Events {
    /// Reads all topics.
    ///
    /// # Errors
    /// [`Unreadable`]: the broker, a topic or a partition is not there.
    pub async fn read(layout: &Layout, region: Region) -> Read<Self> {
        let brokers = layout.kafka_bootstrap(region);
        let unreadable = |why: String| Unreadable::new(format!("the {region} Kafka"), why);
        // librdkafka's consumer blocks.
        let read = tokio::task::spawn_blocking(move || read_all(&brokers));
        read.await.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))
    }
}

fn read_all(brokers: &str) -> KafkaResult<Events> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        // Without a group librdkafka refuses to assign. This one is never joined and commits nothing.
        .set("group.id", "backbone-audit")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("socket.timeout.ms", "10000")
        // The end of a partition is told by an empty answer, which the broker holds back this long.
        .set("fetch.wait.max.ms", "20")
        // Memory: what may be fetched ahead. The default is 64 MiB.
        .set("queued.max.messages.kbytes", "8192")
        .set_log_level(RDKafkaLogLevel::Critical);
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet)?;
    let mut events = Events::default();
    for topic in TOPICS {
        let mut read = Vec::new();
        let mut malformed = Odd::default();
        let is_truncated = read_topic(&consumer, topic, |message| match event_of(message) {
            Ok(pair) => read.push(pair),
            Err(what) => malformed.note(|| format!("{}: {what}", place(message))),
        })?;
        let topic_read = Topic { malformed, is_truncated, ..Topic::new(read) };
        events.topics.insert(topic, topic_read);
        let mut letters = Odd::default();
        read_topic(&consumer, &format!("{topic}.dlq"), |letter| letters.note(|| describe(letter)))?;
        events.dead_letters.insert(topic, letters);
    }
    Ok(events)
}

/// Hands every record up to the high watermarks to `take`. Returns whether the broker has deleted old ones.
fn read_topic(
    consumer: &BaseConsumer<Quiet>,
    topic: &str,
    mut take: impl FnMut(&BorrowedMessage<'_>),
) -> KafkaResult<bool> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
    let described = metadata.topics().iter().find(|candidate| candidate.name() == topic);
    let described = described.ok_or(KafkaError::MetadataFetch(rdkafka::types::RDKafkaErrorCode::UnknownTopic))?;
    if let Some(error) = described.error() {
        return Err(KafkaError::MetadataFetch(error.into()));
    }
    let mut is_truncated = false;
    // What is still to be read of each partition: up to this offset.
    let mut ends = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for partition in described.partitions() {
        let (low, high) = watermarks(consumer, topic, partition.id())?;
        is_truncated |= low > 0;
        if high > low {
            ends.insert(partition.id(), high);
            assignment.add_partition_offset(topic, partition.id(), Offset::Offset(low))?;
        }
    }
    if !ends.is_empty() {
        consumer.assign(&assignment)?;
    }
    while !ends.is_empty() {
        match consumer.poll(ANSWER_WITHIN) {
            None => return Err(KafkaError::MessageConsumption(rdkafka::types::RDKafkaErrorCode::OperationTimedOut)),
            Some(Ok(message)) => {
                // What came in since the watermark was read belongs to a later audit.
                let Some(&end) = ends.get(&message.partition()) else { continue };
                if message.offset() < end {
                    take(&message);
                }
                if message.offset() + 1 >= end {
                    ends.remove(&message.partition());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ends.remove(&partition)),
            Some(Err(error)) => return Err(error),
        }
    }
    consumer.unassign()?;
    Ok(is_truncated)
}

/// The oldest offset of a partition and the next one. A partition whose leader has just changed, or whose topic was just made, is asked again
/// for a while: what it answers then says nothing about its events.
fn watermarks(consumer: &BaseConsumer<Quiet>, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
    let give_up_at = Instant::now() + ANSWER_WITHIN;
    loop {
        match consumer.fetch_watermarks(topic, partition, ANSWER_WITHIN) {
            Err(error) if is_between_leaders(&error) && Instant::now() < give_up_at => {
                std::thread::sleep(ASK_AGAIN_AFTER);
                consumer.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
            }
            answered => return answered,
        }
    }
}

fn is_between_leaders(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode::{LeaderNotAvailable, NotLeaderForPartition};
    matches!(error.rdkafka_error_code(), Some(LeaderNotAvailable | NotLeaderForPartition))
}

fn header<'a>(message: &'a BorrowedMessage<'_>, name: &str) -> Option<&'a str> {
    let found = message.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(found.value?).ok()
}

fn event_of(message: &BorrowedMessage<'_>) -> Result<(OrderId, EventId), &'static str> {
    let key = message.key().and_then(|key| std::str::from_utf8(key).ok());
    let order = key.and_then(|key| key.parse().ok()).ok_or("its key is no order id")?;
    let event = header(message, "ce_id").and_then(|id| id.parse().ok()).ok_or("its ce_id is no event id")?;
    if header(message, "ce_type") != Some(message.topic()) {
        return Err("its ce_type is not the topic");
    }
    Ok((order, event))
}

fn place(message: &BorrowedMessage<'_>) -> String {
    format!("{} partition {} offset {}", message.topic(), message.partition(), message.offset())
}

fn describe(letter: &BorrowedMessage<'_>) -> String {
    let said = |name| header(letter, name).unwrap_or("unknown");
    format!("{}: event {} refused by {}: {}", place(letter), said("ce_id"), said("dlq_consumer"), said("dlq_reason"))
}

/// Errors are returned; librdkafka need not print them too.
struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_delivered_again_is_the_same_event() {
        let (order, other) = (OrderId::generate(), OrderId::generate());
        let (first, second, third) = (EventId::generate(), EventId::generate(), EventId::generate());
        let topic = Topic::new(vec![(other, third), (order, second), (order, first), (order, second)]);
        assert_eq!(topic.of(order).collect::<Vec<_>>(), [first, second]);
        assert_eq!(topic.of(other).collect::<Vec<_>>(), [third]);
        assert_eq!(topic.of(OrderId::generate()).count(), 0);
        assert_eq!((topic.records, topic.distinct()), (4, 3));
    }
}
