//! What ends a relay or a consumer. Outages do not: they are waited out inside.

use std::time::Duration;

/// Why a relay or a consumer refuses to run. All of them are faults of the deployment: running it again changes nothing
/// until the configuration or the topics change, and nothing was published, consumed or lost. A consumer whose inbox forgets too
/// early says so in its condition and waits for that change; only [`Self::Client`] ends one.
#[derive(Debug, thiserror::Error)]
pub enum SpineError {
    /// The inbox would forget an event while the broker can still deliver it again.
    #[error(
        "consumer {consumer} remembers events for {configured:?} but topic {topic} can redeliver for {required:?}; \
         raise the inbox retention or lower the topic's retention"
    )]
    InboxRetentionTooShort {
        /// The consumer group.
        consumer: &'static str,
        /// The topic that retains the longest.
        topic: String,
        /// What is configured.
        configured: Duration,
        /// What the topic and the retry budgets ask for.
        required: Duration,
    },
    /// The topic keeps its records for ever (`retention.ms` -1, or compaction), and no inbox can.
    #[error("consumer {consumer} cannot remember every event of topic {topic}, which never deletes records")]
    UnboundedRetention {
        /// The consumer group.
        consumer: &'static str,
        /// The topic.
        topic: String,
    },
    /// The Kafka client refused its settings.
    #[error("cannot create the kafka client")]
    Client(#[from] rdkafka::error::KafkaError),
}
