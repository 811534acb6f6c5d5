//! On a real broker: what is read, and that a repeat is the event as it was.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use ids::EventId;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::publish::Publisher;
use crate::spine::topics::{Since, Topics, header};

const PATIENCE: Duration = Duration::from_secs(20);

fn brokers() -> String {
    std::env::var("TEST_KAFKA_BROKERS")
        .unwrap_or_else(|_| panic!("TEST_KAFKA_BROKERS must name a Kafka broker; `make test` starts one"))
}

/// A topic of four partitions that nobody else has.
async fn topic(what: &str) -> String {
    let name = format!("{what}-{}", EventId::generate());
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers()).create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    let topics = [NewTopic::new(&name, 4, TopicReplication::Fixed(1))];
    for created in admin.create_topics(&topics, &options).await.unwrap() {
        created.unwrap();
    }
    name
}

/// Publishes a record of key and payload with these headers, where the relay would. Returns partition and offset.
async fn produce(topic: &str, key: &str, payload: &str, headers: &[(&str, &str)]) -> (i32, i64) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers()).set("partitioner", "murmur2").set("linger.ms", "0");
    let producer: FutureProducer = config.create().unwrap();
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(*value) }));
    let sent = producer.send(FutureRecord::to(topic).key(key).payload(payload).headers(headers), PATIENCE).await;
    let delivery = sent.unwrap();
    (delivery.partition, delivery.offset)
}

async fn read(topic: String, since: Since, limit: usize) -> (Vec<OwnedMessage>, bool) {
    let read = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        let extent = Topics::of(&brokers()).unwrap().read(&topic, since, |record| {
            found.push(record.detach());
            if found.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        (found, extent.unwrap().is_cut_short)
    });
    read.await.unwrap()
}

#[tokio::test]
async fn a_letter_published_again_is_the_event_as_it_was_and_where_it_was() {
    let (original, dead) = (topic("original").await, topic("dead").await);
    let own = [("ce_id", "an id"), ("traceparent", "a trace")];
    let first = produce(&original, "an order", "payload", &own).await;
    let letter = [own.as_slice(), &[("dlq_reason", "poison"), ("dlq_consumer", "payment")]].concat();
    let (partition, offset) = produce(&dead, "an order", "payload", &letter).await;

    let reader = Arc::new(Topics::of(&brokers()).unwrap());
    let fetch = |offset| {
        let (reader, dead) = (reader.clone(), dead.clone());
        tokio::task::spawn_blocking(move || reader.record(&dead, partition, offset).unwrap())
    };
    assert!(fetch(offset + 1).await.unwrap().is_none());
    produce(&dead, "an order", "another", &[]).await;
    assert_eq!(fetch(offset + 1).await.unwrap().unwrap().payload(), Some(b"another".as_slice()));
    let fetched = fetch(offset).await.unwrap().unwrap();
    assert_eq!(header(&fetched, "dlq_reason"), Some("poison"));
    let published = Publisher::to(&brokers()).unwrap().publish(&original, &fetched).await.unwrap();
    assert_eq!(published, (first.0, first.1 + 1));

    let (records, _) = read(original, Since::Beginning, usize::MAX).await;
    let [event, repeat] = records.as_slice() else { panic!("{} records", records.len()) };
    assert_eq!((event.key(), event.payload()), (repeat.key(), repeat.payload()));
    let headers = |record: &OwnedMessage| -> Vec<(String, Option<Vec<u8>>)> {
        let headers = record.headers().unwrap().iter();
        headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    };
    assert_eq!(headers(event), headers(repeat));
}

#[tokio::test]
async fn a_topic_is_read_from_a_time_on_and_no_further_than_asked() {
    let topic = topic("read").await;
    for (key, payload) in [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")] {
        produce(&topic, key, payload, &[]).await;
    }
    let (all, cut_short) = read(topic.clone(), Since::Beginning, usize::MAX).await;
    assert_eq!((all.len(), cut_short), (4, false));
    let (some, cut_short) = read(topic.clone(), Since::Beginning, 2).await;
    assert_eq!((some.len(), cut_short), (2, true));
    tokio::time::sleep(Duration::from_millis(5)).await;
    let later = Utc::now();
    produce(&topic, "e", "5", &[]).await;
    let (new, _) = read(topic.clone(), Since::Time(later), usize::MAX).await;
    assert_eq!(new.iter().map(|record| record.payload()).collect::<Vec<_>>(), [Some(b"5".as_slice())]);
    let (none, _) = read(topic, Since::Time(later + TimeDelta::hours(1)), usize::MAX).await;
    assert_eq!(none.len(), 0);
}
