//! The Kafka client's settings and callbacks, shared by every producer and consumer of the spine.

mod off_runtime;
mod publisher;
mod settings;

pub(crate) use off_runtime::OffRuntime;
pub(crate) use publisher::{PUBLISH_DEADLINE, PublishError, Published, Publisher};
pub(crate) use settings::{admin, consumer};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::telemetry;

/// Callbacks of a client: its log lines go to tracing, a consumer's statistics to the lag gauge.
pub(crate) struct SpineContext {
    /// Whose client it is, for the log and the gauge: a consumer group or a lane.
    pub(crate) owner: &'static str,
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
    }

    fn stats(&self, statistics: Statistics) {
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
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        // Harmless: what is not committed is delivered again and skipped. Usual when a partition has just moved away.
        if let Err(error) = result {
            tracing::warn!(consumer = self.owner, %error, "offsets not committed");
        }
    }
}
