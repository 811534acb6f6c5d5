//! The records of the order's events in a region's Kafka.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use ids::Region;
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;

use super::facts::Event;
use crate::audit::sources::{Read, Unreadable};
use crate::platform::{Layout, TOPICS};
use crate::spine::topics::{Since, Topics, header, published_at};

/// For all topics of a region. Reading a million small events takes seconds; what is beyond is named as not read.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// One place where an event lies.
#[derive(Clone, Debug)]
pub struct Record {
    pub event: Event,
    pub partition: i32,
    pub offset: i64,
    pub published_at: Option<DateTime<Utc>>,
}

/// What a region's Kafka has of an order.
#[derive(Debug, Default)]
pub struct Records {
    pub records: Vec<Record>,
    /// Topics that were not read whole.
    pub partly_read: Vec<&'static str>,
}

/// Reads the records with the key `order` that were published at `since` or later.
///
/// # Errors
/// [`Unreadable`].
pub async fn read(layout: &Layout, region: Region, order: String, since: DateTime<Utc>) -> Read<Records> {
    let brokers = layout.kafka_bootstrap(region);
    let unreadable = |why: String| Unreadable::new(format!("the {region} Kafka"), why);
    let read = tokio::task::spawn_blocking(move || read_topics(&brokers, &order, since));
    read.await.map_err(|error| unreadable(error.to_string()))?.map_err(|error| unreadable(error.to_string()))
}

fn read_topics(brokers: &str, order: &str, since: DateTime<Utc>) -> KafkaResult<Records> {
    let give_up_at = Instant::now() + READ_WITHIN;
    let reader = Topics::of(brokers)?;
    let mut found = Records::default();
    for topic in TOPICS {
        let extent = reader.read(topic, Since::Time(since), |record| {
            if record.key() == Some(order.as_bytes()) {
                found.records.extend(record_of(record));
            }
            if Instant::now() < give_up_at { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if extent.is_truncated || extent.is_cut_short {
            found.partly_read.push(topic);
        }
    }
    Ok(found)
}

/// `None` for a record that is no event of ours; its consumers send it to the dead letters.
fn record_of(record: &impl Message) -> Option<Record> {
    let source = header(record, "ce_source")?;
    let event = Event {
        id: header(record, "ce_id")?.parse().ok()?,
        topic: record.topic().to_owned(),
        at: header(record, "ce_time")?.parse().ok()?,
        // /regions/east/services/order
        service: source.rsplit('/').next().unwrap_or(source).to_owned(),
        home: header(record, "ce_homeregion")?.parse().ok()?,
        traceparent: header(record, "traceparent").map(str::to_owned),
    };
    let published_at = published_at(record);
    Some(Record { event, partition: record.partition(), offset: record.offset(), published_at })
}
