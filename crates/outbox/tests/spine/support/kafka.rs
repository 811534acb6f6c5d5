//! Topics, and raw access to them beside the crate under test.

use std::sync::OnceLock;
use std::time::Duration;

use outbox::config::SpineConfig;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::unique;

const PARTITIONS: i32 = 4;
const DEADLINE: Duration = Duration::from_secs(10);

fn brokers() -> String {
    std::env::var("TEST_KAFKA_BROKERS")
        .unwrap_or_else(|_| panic!("TEST_KAFKA_BROKERS must name a Kafka broker; `make test` starts one"))
}

/// Settings that fit the test broker and its topics.
pub fn settings() -> SpineConfig {
    SpineConfig {
        kafka_brokers: brokers(),
        peer_kafka_brokers: None,
        inbox_retention_hours: 16 * 24,
        republish_window_hours: 24,
    }
}

/// The broker's listener for the clients of another region (`WAN_PORT` in `backbone`), and where it tells them that it is. The environment says
/// so; a client that asks the broker goes to that address at once, where nobody listens yet, and loses the question more often than not.
pub fn advertised() -> (String, String) {
    let listener = brokers().split(',').next().unwrap().replace(":9092", ":9094");
    let address = std::env::var("TEST_KAFKA_WAN_BROKERS").unwrap_or_else(|_| {
        panic!("TEST_KAFKA_WAN_BROKERS must say where TEST_KAFKA_BROKERS tells another region that it is")
    });
    (listener, address)
}

/// A topic and its dead letters.
#[derive(Clone, Copy)]
pub struct Topic(pub &'static str);

impl Topic {
    /// Creates both with the settings that production has, and `extra` ones.
    pub async fn create(extra: &[(&str, &str)]) -> Self {
        let name = unique("spine.tested.v1");
        let dead = format!("{name}.dlq");
        let day = Duration::from_secs(86_400).as_millis().to_string();
        let new_topic = |name| {
            let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
            let topic = topic.set("retention.ms", &day).set("segment.ms", &day);
            extra.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
        };
        let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
        let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
        let (live, dead) = (new_topic(name), new_topic(dead.as_str()));
        for created in admin.create_topics([&live, &dead], &options).await.unwrap() {
            created.unwrap();
        }
        Self(name)
    }

    /// Gives the topic, or one beside it with `suffix`, this setting and no other.
    pub async fn configure(self, suffix: &str, setting: &str, value: &str) {
        let name = format!("{}{suffix}", self.0);
        let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&name)).set(setting, value);
        let options = AdminOptions::new().operation_timeout(Some(DEADLINE));
        for changed in admin.alter_configs([&change], &options).await.unwrap() {
            changed.unwrap();
        }
    }

    /// Has the group go on at `offset` of a partition, with this said about it.
    pub fn commit(self, group: &str, partition: i32, offset: i64, metadata: &str) {
        let consumer: BaseConsumer = config().set("group.id", group).create().unwrap();
        let mut offsets = TopicPartitionList::new();
        let mut place = offsets.add_partition(self.0, partition);
        place.set_offset(Offset::Offset(offset)).unwrap();
        place.set_metadata(metadata);
        consumer.commit(&offsets, CommitMode::Sync).unwrap();
    }

    /// Everything in the topic, in the order of each partition.
    pub async fn records(self) -> Vec<OwnedMessage> {
        read_all(self.0.to_owned()).await
    }

    /// Everything in its dead letters.
    pub async fn dead_letters(self) -> Vec<OwnedMessage> {
        read_all(format!("{}.dlq", self.0)).await
    }

    /// Publishes a record beside the relay.
    pub async fn produce(self, key: &str, payload: &[u8], headers: &[(&str, String)]) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(rdkafka::message::Header { key, value: Some(value) })
        });
        // One for all tests: making one takes half a second.
        static PRODUCER: OnceLock<FutureProducer> = OnceLock::new();
        let producer = PRODUCER
            .get_or_init(|| config().set("linger.ms", "0").set("message.max.bytes", "1048500").create().unwrap());
        producer.send(FutureRecord::to(self.0).key(key).payload(payload).headers(headers), DEADLINE).await.unwrap();
    }
}

/// The headers of an event that a relay of region east could have published.
pub fn raw_event(id: uuid::Uuid, home_region: &str) -> Vec<(&'static str, String)> {
    vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", id.to_string()),
        ("ce_type", "spine.tested.v1".to_owned()),
        ("ce_source", "/regions/east/services/test".to_owned()),
        ("ce_time", "2026-01-01T00:00:00Z".to_owned()),
        ("ce_homeregion", home_region.to_owned()),
        ("content-type", "application/protobuf".to_owned()),
    ]
}

/// The text of a header; empty when it is not there.
pub fn header(message: &OwnedMessage, name: &str) -> String {
    let value = message.headers().and_then(|headers| headers.iter().find(|header| header.key == name)?.value);
    String::from_utf8(value.unwrap_or_default().to_vec()).unwrap()
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

/// The first and the next offset of a partition. A broker under load may say for a moment that it does not lead a new one yet.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        match consumer.fetch_watermarks(topic, partition, DEADLINE) {
            Ok(watermarks) => return watermarks,
            Err(error) => assert!(std::time::Instant::now() < deadline, "{topic}/{partition}: {error}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

async fn read_all(topic: String) -> Vec<OwnedMessage> {
    tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config().set("group.id", unique("reader")).create().unwrap();
        let mut assignment = TopicPartitionList::new();
        let mut expected = 0;
        for partition in 0..PARTITIONS {
            let (low, high) = watermarks(&consumer, &topic, partition);
            expected += high - low;
            assignment.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&assignment).unwrap();
        let mut records = Vec::new();
        while (records.len() as i64) < expected {
            let message = consumer.poll(DEADLINE).unwrap_or_else(|| panic!("the broker withholds records of {topic}"));
            records.push(message.unwrap().detach());
        }
        records
    })
    .await
    .unwrap()
}
