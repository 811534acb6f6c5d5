//! Publishes batches of records in order.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer as _};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::{SpineContext, settings};
use crate::record::Record;

/// How long a batch may take to be acknowledged. A leader election takes a second or two; longer than this and the
/// broker counts as away.
pub(crate) const PUBLISH_DEADLINE: Duration = Duration::from_secs(10);
/// How long asking for the topics at start may take.
const WARM_UP_DEADLINE: Duration = Duration::from_secs(5);

/// Why a record was not acknowledged. It may be in Kafka all the same: publish it again, under the same id.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("not acknowledged: {0}")]
    Kafka(KafkaError),
    #[error("not acknowledged within {PUBLISH_DEADLINE:?}")]
    Deadline,
    #[error("the producer is gone")]
    Gone,
}

impl PublishError {
    /// The broker, or the client for it, refused the record, and will refuse it again until somebody changes the topic or the
    /// access rights: no outage, so waiting alone mends nothing.
    pub(crate) fn is_permanent(&self) -> bool {
        use RDKafkaErrorCode::{
            ClusterAuthorizationFailed, InvalidConfig, InvalidMessage, InvalidMessageSize, InvalidRecord,
            InvalidTimestamp, InvalidTopic, PolicyViolation, TopicAuthorizationFailed, UnsupportedForMessageFormat,
        };
        self.is_about_size()
            || matches!(
                self.code(),
                Some(
                    TopicAuthorizationFailed
                        | ClusterAuthorizationFailed
                        | InvalidMessage
                        | InvalidMessageSize
                        | InvalidRecord
                        | InvalidTimestamp
                        | InvalidTopic
                        | InvalidConfig
                        | PolicyViolation
                        | UnsupportedForMessageFormat
                )
            )
    }

    /// A smaller record would be taken.
    pub(crate) fn is_about_size(&self) -> bool {
        matches!(self.code(), Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge))
    }

    fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::Kafka(error) => error.rdkafka_error_code(),
            Self::Deadline | Self::Gone => None,
        }
    }
}

/// What became of a batch.
pub(crate) struct Published {
    /// Places in the batch of the records that were acknowledged, ascending. For each key they are the batch's first ones.
    pub(crate) acknowledged: Vec<usize>,
    /// Why the others were not.
    pub(crate) failure: Option<PublishError>,
}

/// An idempotent producer with its deadline. After a failure it must be replaced: what it still has in its queue would
/// otherwise be sent behind the repeat.
pub(crate) struct Publisher {
    producer: FutureProducer<SpineContext>,
    /// Holds the producer too, until it is done.
    warm_up: JoinHandle<()>,
}

impl Publisher {
    /// Creates the producer and warms it up in the background: it asks for its producer id and the topics now, which
    /// would cost the first event half a second.
    ///
    /// # Errors
    /// The client refused its settings. An unreachable broker is no error.
    pub(crate) fn connect(brokers: &str, owner: &'static str) -> Result<Self, KafkaError> {
        let config: ClientConfig = settings::producer(brokers, owner);
        let producer: FutureProducer<SpineContext> = config.create_with_context(SpineContext::of(owner))?;
        let warming = producer.clone();
        let warm_up = tokio::task::spawn_blocking(move || {
            if let Err(error) = warming.client().fetch_metadata(None, WARM_UP_DEADLINE) {
                tracing::warn!(owner, %error, "broker unreachable, will keep trying");
            }
        });
        Ok(Self { producer, warm_up })
    }

    /// Publishes the records, those of one key in their order, and waits until each is acknowledged, or the deadline.
    ///
    /// The idempotent producer keeps the order of a partition whatever the network does. It does not when the broker refuses a record for
    /// good (too large for its topic, say): then it may take the next one all the same. So a record is sent once the one of its key before
    /// it was acknowledged, unless what refuses that one would refuse this one too; see [`waves`].
    pub(crate) async fn publish(&self, records: &[Record]) -> Published {
        let deadline = Instant::now() + PUBLISH_DEADLINE;
        let mut published = Published { acknowledged: Vec::with_capacity(records.len()), failure: None };
        for wave in waves(records) {
            self.publish_wave(records, &wave, deadline, &mut published).await;
            if published.failure.is_some() {
                break;
            }
        }
        published.acknowledged.sort_unstable();
        published
    }

    async fn publish_wave(&self, records: &[Record], wave: &[usize], deadline: Instant, published: &mut Published) {
        let mut pending = Vec::with_capacity(wave.len());
        for &place in wave {
            match self.enqueue(&records[place]) {
                Ok(delivery) => pending.push((place, delivery)),
                Err(error) => {
                    published.failure = Some(PublishError::Kafka(error));
                    break;
                }
            }
        }
        for (place, delivery) in pending {
            match acknowledgement(delivery, deadline).await {
                Ok(()) => published.acknowledged.push(place),
                Err(error) => published.failure = published.failure.take().or(Some(error)),
            }
        }
    }

    fn enqueue(&self, record: &Record) -> Result<DeliveryFuture, KafkaError> {
        let headers =
            record.headers.iter().fold(OwnedHeaders::new_with_capacity(record.headers.len()), |headers, header| {
                headers.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() })
            });
        let mut message = FutureRecord::<[u8], [u8]>::to(&record.topic).headers(headers);
        message.key = record.key.as_deref();
        message.payload = record.payload.as_deref();
        self.producer.send_result(message).map_err(|(error, _)| error)
    }

    /// Ends the producer, discarding what it has not sent. Waits, because two producers of one lane must not be sending
    /// at once.
    pub(crate) async fn retire(self) {
        let ended = match self.warm_up.await {
            // Dropping joins the client's threads.
            Ok(()) => tokio::task::spawn_blocking(move || drop(self.producer)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::error!(%error, "ending a producer failed");
        }
    }
}

/// A record of so many bytes is refused by no topic for its size alone: only with all others, for access rights or a policy, say.
const SURELY_FITS_BYTES: usize = 2 * 1024;

/// The places of the records, in waves: each wave is sent once the one before it was acknowledged.
///
/// A record stands in the wave of the one of its key before it if that one is small and for the same topic: the broker refuses both or
/// neither. Otherwise it stands in the next wave. So what an aggregate says often goes out at once, and most batches are a wave or two.
fn waves(records: &[Record]) -> Vec<Vec<usize>> {
    let mut waves: Vec<Vec<usize>> = Vec::new();
    let mut before: HashMap<&Bytes, (usize, &Record)> = HashMap::new();
    for (place, record) in records.iter().enumerate() {
        let wave = match record.key.as_ref().map(|key| (key, before.get(key))) {
            Some((_, Some((wave, last)))) if last.topic == record.topic && bytes(last) <= SURELY_FITS_BYTES => *wave,
            Some((_, Some((wave, _)))) => wave + 1,
            Some((_, None)) | None => 0,
        };
        if let Some(key) = &record.key {
            before.insert(key, (wave, record));
        }
        if wave == waves.len() {
            waves.push(Vec::new());
        }
        waves[wave].push(place);
    }
    waves
}

fn bytes(record: &Record) -> usize {
    let value = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
    let headers: usize = record.headers.iter().map(|header| header.name.len() + value(&header.value)).sum();
    value(&record.key) + value(&record.payload) + headers
}

/// One record's acknowledgement. Past the deadline only what has already arrived counts.
async fn acknowledgement(mut delivery: DeliveryFuture, deadline: Instant) -> Result<(), PublishError> {
    let outcome = match timeout_at(deadline, &mut delivery).await {
        Ok(outcome) => outcome,
        Err(_) => delivery.now_or_never().ok_or(PublishError::Deadline)?,
    };
    match outcome {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(PublishError::Kafka(error)),
        Err(_) => Err(PublishError::Gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: Option<&'static str>, topic: &str, bytes: usize) -> Record {
        let key = key.map(|key| key.as_bytes().into());
        Record { topic: topic.to_owned(), key, payload: Some(vec![0; bytes].into()), headers: Vec::new() }
    }

    #[test]
    fn a_record_waits_for_the_one_of_its_key_before_it_if_that_may_be_refused_alone() {
        let (small, large) = (10, SURELY_FITS_BYTES + 1);
        let records = [
            record(Some("a"), "placed", large),
            record(Some("b"), "placed", small),
            record(None, "placed", large),
            // Of the same key: what refuses the large one may take it.
            record(Some("a"), "placed", small),
            // What refuses the small one before it refuses it too.
            record(Some("a"), "placed", small),
            // Another topic may take it all the same.
            record(Some("a"), "shipped", small),
            record(None, "placed", small),
            record(Some("b"), "placed", small),
        ];
        assert_eq!(waves(&records), [vec![0, 1, 2, 6, 7], vec![3, 4], vec![5]]);
        assert!(waves(&[]).is_empty());
    }
}
