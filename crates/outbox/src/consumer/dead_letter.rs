//! The dead letters of a topic: `<topic>.dlq`, with the original key, payload and headers, and headers that say what
//! happened. See [`letter`](super::letter) for what is too large.
//!
//! An event is sent there before its offset is committed and leaves no inbox row. It can therefore be there twice after
//! a crash (same topic, partition and offset), and once its cause is repaired it can be published again under its own
//! id.

use chrono::Utc;
use rdkafka::error::KafkaError;
use sabotage::crash_point;

use super::batch::Item;
use super::failure::ErrorClass;
use super::letter::{Extent, Verdict, letter};
use crate::kafka::{PublishError, Publisher};
use crate::record::Record;
use crate::telemetry;

/// Why a dead letter was not stored. It is sent again until it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeadLetterError {
    #[error("dead letter not stored: {0}")]
    Outage(PublishError),
    /// Sending it again changes nothing until somebody changes the topic or its access rights.
    #[error("the broker refuses the dead letter: {0}; {topic} must take what this consumer sends", topic = .1)]
    Refused(PublishError, String),
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

    /// Stores one record in the dead letters of its topic and waits for the acknowledgement. A letter that the broker finds too
    /// large is sent again with less of the record in it.
    pub(super) async fn send(&mut self, item: &Item, class: ErrorClass, reason: &str) -> Result<(), DeadLetterError> {
        let verdict = Verdict { group: self.group, class, reason, at: Utc::now() };
        let mut asked = Extent::Whole;
        let extent = loop {
            let (letter, extent) = letter(item, verdict, asked);
            match self.publish(&letter).await? {
                Ok(()) => break extent,
                Err(error) if error.is_about_size() && extent.narrower().is_some() => {
                    asked = extent.narrower().unwrap_or(Extent::Place);
                }
                Err(error) if error.is_permanent() => return Err(DeadLetterError::Refused(error, letter.topic)),
                Err(error) => return Err(DeadLetterError::Outage(error)),
            }
        };
        metrics::counter!(telemetry::DEAD_LETTERS, "consumer" => self.group, "class" => class.name()).increment(1);
        tracing::error!(
            consumer = self.group,
            topic = item.delivered.record.topic,
            partition = item.delivered.partition,
            offset = item.delivered.offset,
            event_id = item.event.as_ref().ok().map(|event| tracing::field::display(event.id)),
            class = class.name(),
            is_whole = extent == Extent::Whole,
            reason,
            "event sent to the dead letters"
        );
        Ok(())
    }

    async fn publish(&mut self, letter: &Record) -> Result<Result<(), PublishError>, KafkaError> {
        let publisher = match self.publisher.take() {
            Some(publisher) => publisher,
            None => Publisher::connect(&self.brokers, self.group)?,
        };
        crash_point("consumer.dead-letter.before-publish").await;
        if let Some(failure) = publisher.publish(std::slice::from_ref(letter)).await.failure {
            publisher.retire().await;
            return Ok(Err(failure));
        }
        crash_point("consumer.dead-letter.after-publish").await;
        self.publisher = Some(publisher);
        Ok(Ok(()))
    }

    /// Ends the producer. All it was given has been acknowledged.
    pub(super) async fn close(self) {
        if let Some(publisher) = self.publisher {
            publisher.retire().await;
        }
    }
}
