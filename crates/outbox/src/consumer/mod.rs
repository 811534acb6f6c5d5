//! From Kafka to one effect per event.
//!
//! A consumer takes what has already been fetched as one batch and applies it in one transaction, together with the
//! inbox rows of its events: a commit per batch instead of one per event. When that fails, the batch is applied event
//! by event, each in a transaction of its own, so that one bad event does not take its neighbours with it. Offsets are
//! committed after the transaction, once a second; a crash before that delivers the batches again, and their inbox rows say
//! so.
//!
//! Four kinds of failure (see [`HandleError`]). Poison goes to the dead letters at once. A failed try is repeated a
//! bounded number of times and then goes there too. What somebody else holds, a lock, say, is waited for. An outage is waited
//! out. The first three hold up the events of the same key alone, which are parked behind it ([`parked`]): order within a key is
//! kept, and the others go on. An outage holds up all of them, which is right: they need the same database.
//!
//! A consumer that cannot go on says so in its condition ([`chassis::conditions`]), its gauges and its log ([`standing`]). One whose
//! inbox would forget too early does not begin, says so the same way, and begins when that has changed ([`retention`]). One whose
//! broker lost what it had read starts over ([`truncation`]).

mod apply;
mod batch;
mod dead_letter;
mod failure;
mod handler;
mod letter;
mod mark;
mod parked;
mod progress;
mod retention;
mod settle;
mod standing;
mod trim;
mod truncation;

pub use handler::{HandleError, Handler};

use std::sync::Arc;
use std::time::Duration;

use chassis::retry::Backoff;
use ids::Region;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use sabotage::crash_point;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::SpineConfig;
use crate::error::SpineError;
use crate::kafka::{self, SpineContext};
use crate::telemetry;
use crate::waiting::{back_off, stopped_for};
use apply::Inbox;
use batch::Item;
use dead_letter::DeadLetters;
use parked::Parked;
use progress::{Marks, Progress};
use settle::{Desk, Stopped};
use standing::Standing;
use truncation::Truncated;

/// Tries of an event before it goes to the dead letters, when nothing says that a dependency is away or that somebody else holds
/// what it needs. With the backoff of up to [`RETRY_DELAY_MAX`], about four seconds on average and eight at most.
const TRIES_MAX: u32 = 8;
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);
/// How long the transaction or dead letter in hand may still take once the service is stopping.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// After a notice of the Kafka client, so that a storm of them is not a storm of log lines.
const CLIENT_ERROR_PAUSE: Duration = Duration::from_millis(200);
/// How often the broker's log is compared with what was read when nothing else gives reason to.
const LOOK_EVERY: Duration = Duration::from_secs(300);
/// Between looks at a broker that does not answer.
const LOOK_BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// How long a broker may owe the answer of what was committed, before the client is replaced.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long a consumer without records and without anything due lets its standing be. Bounds how late a suspicion is followed.
const TURN_MAX: Duration = Duration::from_secs(5);

/// Why a client is used no longer.
enum Ended {
    /// The service stops.
    Stopped,
    /// Its broker does not answer it.
    Silent,
}

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

impl<H: Handler> Consumer<H> {
    /// A consumer that is not connected yet.
    ///
    /// `group`: the name of the Kafka consumer group and of the consumer in the inbox. It must not change between
    /// releases, or all that the broker still retains has its effect again.
    pub fn new(pool: PgPool, config: &SpineConfig, region: Region, group: &'static str, handler: H) -> Self {
        Self { config: config.clone(), handler: Arc::new(handler), inbox: Inbox { pool, region, group } }
    }

    /// Consumes until `token` is cancelled, waiting out a database or broker that is away. On cancellation it finishes
    /// the transaction in hand, commits the offsets and leaves the group. While the inbox would forget too early it does
    /// not begin: the service lives, the condition `consumer/<group>` says why, and it begins once that has changed.
    ///
    /// # Errors
    /// [`SpineError::Client`]: the client refused its settings. Nothing was consumed then.
    pub async fn run(&self, token: CancellationToken) -> Result<(), SpineError> {
        telemetry::describe();
        let group = self.inbox.group;
        if !retention::wait(&self.config, group, self.handler.topics(), &token).await? {
            return Ok(());
        }
        let ended = token.child_token();
        let trimming = trim::run(&self.inbox, self.config.inbox_retention(), &ended);
        let consuming = async {
            let consumed = self.consume_over_clients(&token).await;
            ended.cancel();
            consumed
        };
        tokio::join!(trimming, consuming).1
    }

    /// One client after another: one that a broker has left in silence for long may never find its group again, and a new one does.
    async fn consume_over_clients(&self, token: &CancellationToken) -> Result<(), SpineError> {
        let group = self.inbox.group;
        loop {
            let settings = kafka::consumer(&self.config.kafka_brokers, group);
            let kafka: Arc<StreamConsumer<SpineContext>> =
                Arc::new(settings.create_with_context(SpineContext::of(group))?);
            kafka.subscribe(self.handler.topics())?;
            match self.consume(&kafka, token).await {
                Ended::Stopped => {
                    leave(kafka).await;
                    return Ok(());
                }
                Ended::Silent => {
                    tracing::warn!(
                        consumer = group,
                        "the broker does not tell what was committed: another client is made"
                    );
                    metrics::counter!(telemetry::CLIENTS_REPLACED, "consumer" => group).increment(1);
                    // Its end may take for ever, and waits for an answer of the same broker.
                    drop(kafka::OffRuntime::new(kafka));
                }
            }
        }
    }

    /// Applies batch after batch.
    async fn consume(&self, kafka: &Arc<StreamConsumer<SpineContext>>, token: &CancellationToken) -> Ended {
        let group = self.inbox.group;
        let mut ended = Ended::Stopped;
        let mut desk = Desk {
            progress: Progress::default(),
            parked: Parked::default(),
            dead_letters: DeadLetters::new(&self.config.kafka_brokers, group),
            standing: Standing::new(group),
        };
        let (mut looks, mut marks) = (JoinSet::new(), None);
        let mut next_look = Instant::now() + LOOK_EVERY;
        while !token.is_cancelled() {
            if (kafka.context().take_suspicion() || next_look <= Instant::now()) && looks.is_empty() {
                next_look = Instant::now() + LOOK_EVERY;
                // Until they could be compared they stay as they were when the suspicion arose: what is read after that may be new.
                self.look(kafka, marks.get_or_insert_with(|| desk.progress.marks()).clone(), &mut looks);
            }
            let until = desk.parked.next_due().unwrap_or_else(|| Instant::now() + TURN_MAX);
            let items = tokio::select! {
                biased;
                () = token.cancelled() => break,
                Some(found) = looks.join_next(), if !looks.is_empty() => {
                    match found.unwrap_or_default() {
                        Some(found) => {
                            if self.start_over(kafka, found, &mut desk).await {
                                marks = None;
                            }
                        }
                        None => kafka.context().suspect(),
                    }
                    continue;
                }
                items = batch::next(kafka, token), if !desk.parked.is_full() => items,
                () = tokio::time::sleep_until(until.min(Instant::now() + TURN_MAX)) => Ok(Some(Vec::new())),
            };
            let items = match items {
                Ok(Some(items)) => items,
                Ok(None) => break,
                Err(error) => {
                    // librdkafka recovers by itself; these are notices, of a broker or topic that is away, say.
                    tracing::warn!(consumer = group, %error, "kafka consumer");
                    tokio::time::sleep(CLIENT_ERROR_PAUSE).await;
                    continue;
                }
            };
            let items = match self.arrived(kafka, items, &mut desk, token).await {
                Ok(items) => items,
                Err(why) => {
                    ended = why;
                    break;
                }
            };
            metrics::counter!(telemetry::DELIVERED, "consumer" => group).increment(items.len() as u64);
            if self.turn(kafka, items, &mut desk, token).await.is_err() {
                break;
            }
        }
        // A look holds the client too, and leaving the group needs the last handle of it.
        let _ = tokio::time::timeout(STOP_GRACE, async { while looks.join_next().await.is_some() {} }).await;
        desk.dead_letters.close().await;
        ended
    }

    /// Compares partitions that came with what was read of them before anything of theirs is settled: the mark that tells lies with
    /// the committed offset, and the next commit takes its place. Returns the records that count.
    ///
    /// # Errors
    /// `token` was cancelled, or the broker has not answered for [`SILENCE_MAX`]. Nobody polls the client meanwhile, so it cannot find its
    /// group again by itself; nothing of `items` is settled, and its successor gets them again.
    async fn arrived(
        &self,
        kafka: &Arc<StreamConsumer<SpineContext>>,
        mut items: Vec<Item>,
        desk: &mut Desk,
        token: &CancellationToken,
    ) -> Result<Vec<Item>, Ended> {
        let moved = kafka.context().take_moved();
        for place in &moved {
            desk.progress.forget(place);
            desk.parked.forget(&place.0, place.1);
        }
        if !moved.is_empty() {
            // They are what is suspected, and they are compared now.
            let _ = kafka.context().take_suspicion();
        }
        let (mut failures, silent_at) = (0, Instant::now() + SILENCE_MAX);
        while !moved.is_empty() {
            let mut look = JoinSet::new();
            self.look(kafka, desk.progress.marks(), &mut look);
            let found = tokio::select! {
                () = token.cancelled() => return Err(Ended::Stopped),
                found = look.join_next() => found,
            };
            if let Some(Ok(Some(found))) = found {
                items.retain(|item| !found.iter().any(|truncated| truncated.holds(item)));
                if self.start_over(kafka, found, desk).await {
                    break;
                }
            }
            if silent_at <= Instant::now() {
                return Err(Ended::Silent);
            }
            failures += 1;
            if !back_off(LOOK_BACKOFF, failures, token).await {
                return Err(Ended::Stopped);
            }
        }
        Ok(items)
    }

    /// What is due, then what came, then how far that is.
    async fn turn(
        &self,
        kafka: &StreamConsumer<SpineContext>,
        items: Vec<Item>,
        desk: &mut Desk,
        token: &CancellationToken,
    ) -> Result<(), Stopped> {
        let work = async {
            self.settle_due(desk, token).await?;
            if items.is_empty() { Ok(()) } else { self.settle(items, desk, token).await }
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            () = stopped_for(STOP_GRACE, token) => Err(Stopped),
        };
        desk.standing.turned(&desk.parked);
        crash_point("consumer.progress.before-ack").await;
        if let Err(error) = desk.progress.store(kafka) {
            tracing::warn!(consumer = self.inbox.group, %error, "offsets not stored");
        }
        crash_point("consumer.progress.after-ack").await;
        outcome
    }

    /// Compares the broker's log with what was read of it, beside the work. None: it cannot be asked yet.
    fn look(
        &self,
        kafka: &Arc<StreamConsumer<SpineContext>>,
        marks: Marks,
        looks: &mut JoinSet<Option<Vec<Truncated>>>,
    ) {
        let (kafka, brokers, group) = (Arc::clone(kafka), self.config.kafka_brokers.clone(), self.inbox.group);
        looks.spawn_blocking(move || {
            let found = truncation::check(&kafka, &brokers, group, &marks);
            found
                .inspect_err(|error| tracing::debug!(consumer = group, %error, "cannot compare the broker's log yet"))
                .ok()
        });
    }

    /// Goes back to the beginning of partitions that are not what was read. False: not all yet.
    async fn start_over(
        &self,
        kafka: &Arc<StreamConsumer<SpineContext>>,
        found: Vec<Truncated>,
        desk: &mut Desk,
    ) -> bool {
        let mut is_done = true;
        for truncated in found {
            let Truncated { topic, partition, offset, low, high } = truncated.clone();
            let what = format!(
                "the broker lost the end of {topic}/{partition}: offset {offset}, read before, is gone or another record; \
                 read again from {low} (it ends at {high} now)"
            );
            tracing::error!(consumer = self.inbox.group, topic, partition, offset, low, high, "{what}");
            metrics::counter!(telemetry::TRUNCATIONS, "consumer" => self.inbox.group, "topic" => topic.clone())
                .increment(1);
            desk.standing.truncated(what);
            let seeking = Arc::clone(kafka);
            let sought = tokio::task::spawn_blocking(move || truncation::start_over(&seeking, &truncated)).await;
            match sought {
                Ok(Ok(())) => {
                    desk.parked.forget(&topic, partition);
                    desk.progress.restart((topic, partition), low);
                }
                Ok(Err(error)) => {
                    tracing::warn!(consumer = self.inbox.group, %error, "cannot start over yet");
                    kafka.context().suspect();
                    is_done = false;
                }
                Err(error) => {
                    tracing::error!(consumer = self.inbox.group, %error, "starting over failed");
                    is_done = false;
                }
            }
        }
        is_done
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
