//! From Kafka to one effect per event.
//!
//! A consumer takes what has already been fetched as one batch and applies it in one transaction, together with the
//! inbox rows of its events: a commit per batch instead of one per event. When that fails, the batch is applied event
//! by event, each in a transaction of its own, so that one bad event does not take its neighbours with it. Offsets are
//! committed after the transaction, once a second; a crash before that delivers the batches again, and their inbox rows say
//! so.
//!
//! Three kinds of failure (see [`HandleError`]): poison goes to the dead letters at once, a failed try is repeated a
//! bounded number of times and then goes there too, and an outage is waited out. Waiting stops the partitions behind
//! it, which is right: their events need the same database.

mod apply;
mod batch;
mod dead_letter;
mod failure;
mod handler;
mod progress;
mod retention;
mod trim;

pub use handler::{HandleError, Handler};

use std::sync::Arc;
use std::time::Duration;

use chassis::retry::Backoff;
use ids::Region;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use sabotage::crash_point;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::config::SpineConfig;
use crate::error::SpineError;
use crate::kafka::{self, SpineContext};
use crate::telemetry;
use crate::waiting::{back_off, stopped_for};
use apply::Inbox;
use batch::{Batch, Item};
use dead_letter::DeadLetters;
use failure::{ErrorClass, Failure};
use progress::Progress;

/// Tries of an event before it goes to the dead letters, when nothing says that a dependency is away. With the backoff
/// below, about four seconds on average and eight at most: long enough for a deadlock or a lost optimistic lock to
/// pass.
const TRIES_MAX: u32 = 8;
const RETRY_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), RETRY_DELAY_MAX);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);
/// Between looks at a dependency that is away. The cap bounds how late we notice that it is back.
const STALL_BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// How long the transaction or dead letter in hand may still take once the service is stopping.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// After a notice of the Kafka client, so that a storm of them is not a storm of log lines.
const CLIENT_ERROR_PAUSE: Duration = Duration::from_millis(200);

/// A member of a consumer group: applies each event of its topics once.
pub struct Consumer<H> {
    config: SpineConfig,
    handler: Arc<H>,
    inbox: Inbox,
}

impl<H> Clone for Consumer<H> {
    fn clone(&self) -> Self {
        Self { config: self.config.clone(), handler: self.handler.clone(), inbox: self.inbox.clone() }
    }
}

/// The token was cancelled before the batch was done. What is left of it is delivered again at the next start.
struct Stopped;

impl<H: Handler> Consumer<H> {
    /// A consumer that is not connected yet.
    ///
    /// `group`: the name of the Kafka consumer group and of the consumer in the inbox. It must not change between
    /// releases, or all that the broker still retains has its effect again.
    pub fn new(pool: PgPool, config: &SpineConfig, region: Region, group: &'static str, handler: H) -> Self {
        Self { config: config.clone(), handler: Arc::new(handler), inbox: Inbox { pool, region, group } }
    }

    /// Consumes until `token` is cancelled, waiting out a database or broker that is away. On cancellation it finishes
    /// the transaction in hand, commits the offsets and leaves the group.
    ///
    /// # Errors
    /// [`SpineError`]: the inbox is not remembered for long enough, or the client refused its settings. Nothing was
    /// consumed then.
    pub async fn run(&self, token: CancellationToken) -> Result<(), SpineError> {
        telemetry::describe();
        let group = self.inbox.group;
        if !retention::check(&self.config, group, self.handler.topics(), &token).await? {
            return Ok(());
        }
        let kafka: Arc<StreamConsumer<SpineContext>> = Arc::new(
            kafka::consumer(&self.config.kafka_brokers, group).create_with_context(SpineContext { owner: group })?,
        );
        kafka.subscribe(self.handler.topics())?;
        let trimming = trim::run(&self.inbox, self.config.inbox_retention(), &token);
        tokio::join!(trimming, self.consume(&kafka, &token));
        leave(kafka).await;
        Ok(())
    }

    /// Applies batch after batch.
    async fn consume(&self, kafka: &StreamConsumer<SpineContext>, token: &CancellationToken) {
        let mut dead_letters = DeadLetters::new(&self.config.kafka_brokers, self.inbox.group);
        while !token.is_cancelled() {
            let batch = match batch::next(kafka, token).await {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => {
                    // librdkafka recovers by itself; these are notices, of a broker or topic that is away, say.
                    tracing::warn!(consumer = self.inbox.group, %error, "kafka consumer");
                    tokio::time::sleep(CLIENT_ERROR_PAUSE).await;
                    continue;
                }
            };
            metrics::counter!(telemetry::DELIVERED, "consumer" => self.inbox.group)
                .increment(batch.items().len() as u64);
            let mut progress = Progress::default();
            let outcome = tokio::select! {
                outcome = self.settle(&batch, &mut dead_letters, &mut progress, token) => outcome,
                () = stopped_for(STOP_GRACE, token) => Err(Stopped),
            };
            crash_point("consumer.progress.before-ack").await;
            if let Err(error) = progress.store(kafka) {
                tracing::warn!(consumer = self.inbox.group, %error, "offsets not stored");
            }
            crash_point("consumer.progress.after-ack").await;
            if outcome.is_err() {
                break;
            }
        }
        dead_letters.close().await;
    }

    /// Brings every event of the batch to its end: applied, recognised, skipped or dead-lettered.
    async fn settle(
        &self,
        batch: &Batch,
        dead_letters: &mut DeadLetters,
        progress: &mut Progress,
        token: &CancellationToken,
    ) -> Result<(), Stopped> {
        if let Some(events) = batch.events() {
            let mut stalls = 0;
            loop {
                match self.inbox.apply(self.handler.as_ref(), &events).await {
                    Ok(()) => {
                        progress.passed_all(batch.items());
                        return Ok(());
                    }
                    Err(Failure::Unavailable(reason)) => self.stall(&mut stalls, &reason, token).await?,
                    Err(Failure::Poison(_) | Failure::Retry(_)) => break,
                }
            }
        }
        for item in batch.items() {
            self.settle_one(item, dead_letters, token).await?;
            progress.passed(item);
        }
        Ok(())
    }

    /// The same for a single event, which may be one that does not decode.
    async fn settle_one(
        &self,
        item: &Item,
        dead_letters: &mut DeadLetters,
        token: &CancellationToken,
    ) -> Result<(), Stopped> {
        let group = self.inbox.group;
        let (mut tries, mut stalls) = (0, 0);
        let (class, reason) = loop {
            let event = match &item.event {
                Ok(event) => event,
                Err(error) => break (ErrorClass::Undecodable, error.to_string()),
            };
            match self.inbox.apply(self.handler.as_ref(), &[event]).await {
                Ok(()) => return Ok(()),
                Err(Failure::Unavailable(reason)) => self.stall(&mut stalls, &reason, token).await?,
                Err(Failure::Poison(reason)) => break (ErrorClass::Poison, reason),
                Err(Failure::Retry(reason)) => {
                    tries += 1;
                    if tries == TRIES_MAX {
                        break (ErrorClass::RetriesExhausted, reason);
                    }
                    tracing::warn!(consumer = group, event_id = %event.id, tries, reason, "event failed, trying again");
                    metrics::counter!(telemetry::RETRIES, "consumer" => group).increment(1);
                    if !back_off(RETRY_BACKOFF, tries, token).await {
                        return Err(Stopped);
                    }
                }
            }
        };
        let mut stalls = 0;
        while let Err(error) = dead_letters.send(item, class, &reason).await {
            self.stall(&mut stalls, &error.to_string(), token).await?;
        }
        Ok(())
    }

    /// Waits a little for a dependency that is away.
    async fn stall(&self, stalls: &mut u32, reason: &str, token: &CancellationToken) -> Result<(), Stopped> {
        *stalls += 1;
        let group = self.inbox.group;
        tracing::warn!(consumer = group, stalls = *stalls, reason, "waiting for a dependency");
        metrics::counter!(telemetry::STALLS, "consumer" => group).increment(1);
        if back_off(STALL_BACKOFF, *stalls, token).await { Ok(()) } else { Err(Stopped) }
    }
}

/// Commits the last offsets and leaves the group, so that its other members take over at once instead of waiting for
/// the session to time out.
async fn leave(kafka: Arc<StreamConsumer<SpineContext>>) {
    crash_point("consumer.leave.before-ack").await;
    let left = tokio::task::spawn_blocking(move || -> Result<(), KafkaError> {
        let committed = kafka.commit_consumer_state(CommitMode::Sync);
        // The last handle: closing the consumer leaves the group.
        drop(kafka);
        match committed {
            // Nothing has been settled since the last commit.
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            committed => committed,
        }
    });
    let left = left.await;
    crash_point("consumer.leave.after-ack").await;
    match left {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "last offsets not committed"),
        Err(error) => tracing::error!(%error, "leaving the group failed"),
    }
}
