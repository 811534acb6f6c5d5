//! The Kafka client's settings and callbacks, shared by every producer and consumer of the spine.

mod off_runtime;
mod publisher;
mod settings;

pub(crate) use off_runtime::OffRuntime;
pub(crate) use publisher::{PUBLISH_DEADLINE, PublishError, Published, Publisher};
pub(crate) use settings::{RECORD_BYTES_MAX, admin, consumer, reader};

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::telemetry;

/// Callbacks of a client: its log lines go to tracing, a consumer's statistics to the lag gauge.
pub(crate) struct SpineContext {
    /// Whose client it is, for the log and the gauge: a consumer group or a lane.
    pub(crate) owner: &'static str,
    /// Partitions that came or went since somebody asked. Bounded by the partitions of the topics between two rounds.
    moved: Mutex<BTreeSet<(String, i32)>>,
    /// The brokers may not be those that were there before: a connection was lost, or partitions moved.
    is_suspect: AtomicBool,
    /// Connections made so far, as the statistics count them.
    connects: AtomicI64,
}

impl SpineContext {
    /// A context for a client of `owner`.
    pub(crate) fn of(owner: &'static str) -> Self {
        Self { owner, moved: Mutex::default(), is_suspect: AtomicBool::new(false), connects: AtomicI64::new(0) }
    }

    /// The partitions that came or went since the last call.
    pub(crate) fn take_moved(&self) -> BTreeSet<(String, i32)> {
        std::mem::take(&mut *self.moved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the brokers may have changed since the last call.
    pub(crate) fn take_suspicion(&self) -> bool {
        self.is_suspect.swap(false, Ordering::Relaxed)
    }

    /// The brokers are to be looked at again.
    pub(crate) fn suspect(&self) {
        self.is_suspect.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for SpineContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // Broken invariants of the client itself.
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(owner = self.owner, facility, "kafka client: {message}");
            }
            // A broker that cannot be reached is an error to librdkafka. To us it is weather: both sides wait it out.
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(owner = self.owner, facility, "kafka client: {message}");
            }
            _ => tracing::debug!(owner = self.owner, facility, "kafka client: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(owner = self.owner, %error, "kafka client: {reason}");
        self.suspect();
    }

    fn stats(&self, statistics: Statistics) {
        let connects = statistics.brokers.values().filter_map(|broker| broker.connects).sum();
        if self.connects.swap(connects, Ordering::Relaxed) != connects {
            self.suspect();
        }
        for (name, topic) in statistics.topics {
            for (number, partition) in topic.partitions {
                // A partition that moved to another member is no longer ours to lag behind on.
                let lag = if partition.fetch_state == "active" { partition.consumer_lag } else { 0 };
                // Lag -1: nothing committed yet, so it is unknown. Number -1: an entry of librdkafka's own.
                if number >= 0 && lag >= 0 {
                    metrics::gauge!(
                        telemetry::LAG,
                        "consumer" => self.owner, "topic" => name.clone(), "partition" => number.to_string()
                    )
                    .set(lag as f64);
                }
            }
        }
    }
}

impl ConsumerContext for SpineContext {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) | Rebalance::Revoke(partitions) = rebalance {
            let places = partitions.elements();
            let places = places.iter().map(|place| (place.topic().to_owned(), place.partition()));
            self.moved.lock().unwrap_or_else(PoisonError::into_inner).extend(places);
            self.suspect();
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        // Harmless: what is not committed is delivered again and skipped. Usual when a partition has just moved away.
        if let Err(error) = result {
            tracing::warn!(consumer = self.owner, %error, "offsets not committed");
        }
    }
}
