//! Publishes an event again, as it came.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::letter::HEADER_PREFIX;

/// For one record to be acknowledged by all in-sync replicas.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(10);

/// Publishes to one region's Kafka.
pub struct Publisher(FutureProducer);

impl Publisher {
    /// A producer that puts a key where the relay's does.
    ///
    /// # Errors
    /// The client refuses its settings.
    pub fn to(brokers: &str) -> KafkaResult<Self> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2")
            .set("linger.ms", "0")
            .set("message.timeout.ms", ACKNOWLEDGED_WITHIN.as_millis().to_string())
            .set_log_level(RDKafkaLogLevel::Critical);
        Ok(Self(config.create()?))
    }

    /// Publishes the event in a letter to `topic`: key, payload and headers as they were before it was refused. Returns partition and
    /// offset.
    ///
    /// # Errors
    /// It was not acknowledged; it may be there all the same, and inboxes skip what they have applied.
    pub async fn publish(&self, topic: &str, letter: &OwnedMessage) -> KafkaResult<(i32, i64)> {
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).headers(event_headers(letter));
        record.key = letter.key();
        record.payload = letter.payload();
        // no crash point: who ends this command runs it again, and the inboxes skip what came through.
        let sent = self.0.send_result(record).map_err(|(error, _)| error)?;
        match sent.await {
            Ok(Ok(delivery)) => Ok((delivery.partition, delivery.offset)),
            Ok(Err((error, _))) => Err(error),
            Err(_) => Err(KafkaError::Canceled),
        }
    }
}

/// The event's own headers, in their order.
fn event_headers(letter: &OwnedMessage) -> OwnedHeaders {
    let headers = letter.headers().map(|headers| headers.iter().collect::<Vec<_>>()).unwrap_or_default();
    let own = headers.into_iter().filter(|header| !header.key.starts_with(HEADER_PREFIX));
    own.fold(OwnedHeaders::new(), |headers, header| headers.insert(header))
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::record;
    use super::*;

    #[test]
    fn what_the_dead_letter_says_about_the_event_does_not_travel_with_it() {
        let letter = record(b"", &[("ce_id", "1"), ("dlq_reason", "poison"), ("traceparent", "t")]);
        let headers = event_headers(&letter);
        let names: Vec<&str> = headers.iter().map(|header| header.key).collect();
        assert_eq!(names, ["ce_id", "traceparent"]);
    }
}
