//! The dead letters of a topic: `<topic>.dlq`, with the original key, payload and headers, and headers that say what
//! happened.
//!
//! An event is sent there before its offset is committed and leaves no inbox row. It can therefore be there twice after
//! a crash (same topic, partition and offset), and once its cause is repaired it can be published again under its own
//! id.

use chrono::{SecondsFormat, Utc};
use rdkafka::error::KafkaError;
use sabotage::crash_point;

use super::batch::Item;
use super::failure::ErrorClass;
use crate::kafka::{PublishError, Publisher};
use crate::record::{Header, Record};
use crate::telemetry;

/// Longest reason in bytes; it is for a human, and a header is no place for more.
const REASON_BYTES_MAX: usize = 512;

/// Why a dead letter was not stored. It is sent again until it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadLetterError {
    #[error("dead letter not stored: {0}")]
    Publish(#[from] PublishError),
    #[error("dead letter producer not created: {0}")]
    Client(#[from] KafkaError),
}

/// Where dead letters are sent. Most consumers never need the producer, so the first one creates it.
pub(super) struct DeadLetters {
    brokers: String,
    group: &'static str,
    publisher: Option<Publisher>,
}

impl DeadLetters {
    pub(super) fn new(brokers: &str, group: &'static str) -> Self {
        Self { brokers: brokers.to_owned(), group, publisher: None }
    }

    /// Stores one record in the dead letters of its topic and waits for the acknowledgement.
    pub(super) async fn send(&mut self, item: &Item, class: ErrorClass, reason: &str) -> Result<(), DeadLetterError> {
        let publisher = match self.publisher.take() {
            Some(publisher) => publisher,
            None => Publisher::connect(&self.brokers, self.group)?,
        };
        let letter = letter(item, self.group, class, reason);
        crash_point("consumer.dead-letter.before-publish").await;
        if let Some(failure) = publisher.publish(std::slice::from_ref(&letter)).await.failure {
            publisher.retire().await;
            return Err(failure.into());
        }
        crash_point("consumer.dead-letter.after-publish").await;
        self.publisher = Some(publisher);
        metrics::counter!(telemetry::DEAD_LETTERS, "consumer" => self.group, "class" => class.name()).increment(1);
        tracing::error!(
            consumer = self.group,
            topic = item.delivered.record.topic,
            partition = item.delivered.partition,
            offset = item.delivered.offset,
            event_id = item.event.as_ref().ok().map(|event| tracing::field::display(event.id)),
            class = class.name(),
            reason,
            "event sent to the dead letters"
        );
        Ok(())
    }

    /// Ends the producer. All it was given has been acknowledged.
    pub(super) async fn close(self) {
        if let Some(publisher) = self.publisher {
            publisher.retire().await;
        }
    }
}

fn letter(item: &Item, group: &str, class: ErrorClass, reason: &str) -> Record {
    let original = &item.delivered.record;
    let mut letter = Record { topic: format!("{}.dlq", original.topic), ..original.clone() };
    letter.headers.extend([
        Header::new("dlq_error_class", class.name()),
        Header::new("dlq_reason", prefix(reason, REASON_BYTES_MAX).to_owned()),
        Header::new("dlq_consumer", group.to_owned()),
        Header::new("dlq_topic", original.topic.clone()),
        Header::new("dlq_partition", item.delivered.partition.to_string()),
        Header::new("dlq_offset", item.delivered.offset.to_string()),
        Header::new("dlq_time", Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)),
    ]);
    letter
}

/// The longest prefix of `text` of at most `bytes_max` bytes that ends between two characters.
fn prefix(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(prefix("déjà", 2), "d");
        assert_eq!(prefix("déjà", 3), "dé");
        assert_eq!(prefix("déjà", 512), "déjà");
    }
}
