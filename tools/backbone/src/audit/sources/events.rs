//! What is in a region's Kafka: the events of every topic from the oldest record to the high watermark, ids only, and the dead
//! letters whose effect is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use ids::{EventId, OrderId, Region};
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message as _};

use super::{Read, Unreadable};
use crate::dlq::{self, Open};
use crate::platform::{Layout, TOPICS};
use crate::spine::topics::{Since, Topics, event_of};

/// Records that are no events, and dead letters, described per topic; the rest are counted.
const DESCRIBED_MAX: usize = 10;

/// A region's Kafka.
#[derive(Clone, Debug, Default)]
pub struct Events {
    pub topics: BTreeMap<&'static str, Topic>,
    /// The open ones, by the topic they were taken from.
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
    /// [`Unreadable`]: the broker, a topic or a partition is not there, or an inbox that says whether a letter is settled.
    pub async fn read(layout: &Layout, region: Region) -> Read<Self> {
        let brokers = layout.kafka_bootstrap(region);
        let unreadable = |why: String| Unreadable::new(format!("the {region} Kafka"), why);
        // librdkafka's consumer blocks.
        let read = tokio::task::spawn_blocking(move || read_topics(&brokers));
        let topics = read.await.map_err(|error| unreadable(error.to_string()))?;
        let read = topics.map_err(|error| unreadable(error.to_string()))?;
        let judged = dlq::judged(layout, region, TOPICS.into()).await?;
        if let Some(topic) = judged.cut_short.first() {
            return Err(unreadable(format!("{topic} has too many dead letters")));
        }
        let topics = read.into_iter().map(|(topic, read)| {
            let settled = judged.standing.settled_at.iter().filter(|(of, ..)| *of == topic);
            (topic, read.without(&settled.map(|(_, partition, offset)| (*partition, *offset)).collect()))
        });
        let topics = topics.collect();
        let mut dead_letters: BTreeMap<_, Odd> = TOPICS.into_iter().map(|topic| (topic, Odd::default())).collect();
        for open in judged.standing.open {
            dead_letters.entry(open.letter.position.place.topic).or_default().note(|| describe(&open));
        }
        Ok(Self { topics, dead_letters })
    }
}

/// A topic, with its records that are no events one by one: a person may have settled the letters of some.
struct ReadTopic {
    topic: Topic,
    malformed: Vec<((i32, i64), String)>,
}

impl ReadTopic {
    /// The topic, without the odd records at these places.
    fn without(self, settled: &BTreeSet<(i32, i64)>) -> Topic {
        let mut malformed = Odd::default();
        for (_, what) in self.malformed.into_iter().filter(|(place, _)| !settled.contains(place)) {
            malformed.note(|| what);
        }
        Topic { malformed, ..self.topic }
    }
}

/// Records that are no events kept of a topic; far more than anybody settles one by one.
const MALFORMED_MAX: usize = 10_000;

fn read_topics(brokers: &str) -> KafkaResult<BTreeMap<&'static str, ReadTopic>> {
    let reader = Topics::of(brokers)?;
    let mut topics = BTreeMap::new();
    for topic in TOPICS {
        let mut read = Vec::new();
        let mut malformed = Vec::new();
        let extent = reader.read(topic, Since::Beginning, |message| {
            match event_of(message) {
                Ok(pair) => read.push(pair),
                Err(what) if malformed.len() < MALFORMED_MAX => {
                    malformed.push(((message.partition(), message.offset()), format!("{}: {what}", place(message))));
                }
                Err(_) => {}
            }
            ControlFlow::Continue(())
        })?;
        let read = Topic { is_truncated: extent.is_truncated, ..Topic::new(read) };
        topics.insert(topic, ReadTopic { topic: read, malformed });
    }
    Ok(topics)
}

fn place(message: &BorrowedMessage<'_>) -> String {
    format!("{} partition {} offset {}", message.topic(), message.partition(), message.offset())
}

fn describe(open: &Open) -> String {
    let letter = &open.letter;
    let event = letter.event.map_or_else(|| "unknown".to_owned(), |event| event.to_string());
    format!("{}: event {event} refused by {}: {}", letter.position, letter.consumer, letter.reason)
}

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
