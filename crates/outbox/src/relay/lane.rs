//! One lane: takes rows from a table, publishes them, removes them, for as long as it holds the table's lock.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chassis::database;
use chassis::retry::Backoff;
use chrono::Utc;
use sabotage::crash_point;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, PgPool};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::{AWAKE, Found, Next, Pace};
use super::refused::Refused;
use super::store::{self, After, OutboxRow, Table};
use super::unremoved::Unremoved;
use crate::blocked::is_blocked;
use crate::error::SpineError;
use crate::headers;
use crate::kafka::{PublishError, Published, Publisher};
use crate::telemetry;
use crate::waiting::{back_off, stopped_for};

/// How often a standby asks for the lock.
const STANDBY_INTERVAL: Duration = Duration::from_secs(1);
/// How often a session is asked whether it can still write. One whose server was demoted finds nothing, for ever, and no error ends it.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// For a lock that somebody holds. Nobody else writes these rows, so there hardly ever is one.
const LOCK_TIMEOUT: &str = "250ms";
/// For connecting and for each statement. They take milliseconds; longer, and the connection is dead.
const DATABASE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a batch may still take once the service is stopping. What is not acknowledged by then is published again at
/// the next start.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// Between attempts while the database or the broker is away.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// Why a round ended early. Nothing of it is lost.
#[derive(Debug, thiserror::Error)]
enum LaneError {
    #[error("database")]
    Database(#[from] sqlx::Error),
    #[error("database did not answer within {DATABASE_DEADLINE:?}")]
    DatabaseDeadline,
    #[error("publish")]
    Publish(#[from] PublishError),
    #[error("refused by the broker, its aggregate waits")]
    Held(#[source] PublishError),
    #[error("stopped")]
    Stopped,
}

/// Whose aggregates wait. It outlives connections.
struct Waiting {
    refused: Refused,
    unremoved: Unremoved,
}

/// What a lane knows about its neighbours: a table before it, a broker behind it.
pub(super) struct Lane {
    pub(super) table: Table,
    pub(super) after: After,
    pub(super) brokers: String,
    pub(super) source: String,
    pub(super) options: PgConnectOptions,
    /// Says that there are rows.
    pub(super) wake: Arc<Notify>,
    /// Told when rows were moved on.
    pub(super) wake_next: Arc<Notify>,
    /// Told when the session was of no more use; others are as old.
    pub(super) condemned: Arc<Notify>,
}

/// Options of a relay connection: the service's, but
/// - commits need not wait for the disk: losing one to a crash publishes its rows again, which they must bear anyway;
/// - a row that somebody holds is not waited for: the others of its round are as good as published;
/// - the server notices within half a minute that the relay's machine has vanished, and frees the lock.
pub(super) fn connect_options(pool: &PgPool) -> PgConnectOptions {
    pool.connect_options().as_ref().clone().options([
        ("synchronous_commit", "off"),
        ("lock_timeout", LOCK_TIMEOUT),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
    ])
}

impl Lane {
    /// Works until `token` is cancelled, over any number of connections, producers and failures.
    pub(super) async fn run(self, token: CancellationToken) -> Result<(), SpineError> {
        let mut publisher = Publisher::connect(&self.brokers, self.name())?;
        let mut failures = 0;
        let mut waiting = Waiting { refused: Refused::new(self.name()), unremoved: Unremoved::new(self.name()) };
        while !token.is_cancelled() {
            match self.lead(&publisher, &mut waiting, &token, &mut failures).await {
                Ok(()) | Err(LaneError::Stopped) => {}
                Err(error) => {
                    failures += 1;
                    tracing::warn!(
                        lane = self.name(),
                        failures,
                        error = &error as &dyn std::error::Error,
                        "relay interrupted"
                    );
                    if let LaneError::Publish(_) | LaneError::Held(_) = error {
                        metrics::counter!(telemetry::PUBLISH_FAILURES, "lane" => self.name()).increment(1);
                        publisher.retire().await;
                        publisher = Publisher::connect(&self.brokers, self.name())?;
                    }
                    // Who is refused is held; the others need not wait for it.
                    if !matches!(error, LaneError::Held(_)) {
                        back_off(BACKOFF, failures, &token).await;
                    }
                }
            }
        }
        publisher.retire().await;
        Ok(())
    }

    /// One connection's life: wait for the lock, then publish until something fails or `token` is cancelled.
    async fn lead(
        &self,
        publisher: &Publisher,
        waiting: &mut Waiting,
        token: &CancellationToken,
        failures: &mut u32,
    ) -> Result<(), LaneError> {
        let mut conn = within(self.options.connect()).await?;
        loop {
            self.ask(&mut conn).await?;
            if within(store::try_lock(&mut conn, self.table)).await? {
                break;
            }
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = tokio::time::sleep(STANDBY_INTERVAL) => {}
            }
        }
        tracing::info!(lane = self.name(), "relay is active");
        let mut pace = Pace::default();
        let mut asked_at = Instant::now();
        while !token.is_cancelled() {
            // Also while there is much to do: what is read on a demoted server would be published, and never removed.
            if asked_at.elapsed() >= ASK_EVERY {
                self.ask(&mut conn).await?;
                asked_at = Instant::now();
            }
            let found = self.round(&mut conn, publisher, waiting, token).await?;
            *failures = 0;
            if found != Found::Nothing {
                self.wake_next.notify_one();
            }
            match pace.after_round(found, Instant::now()) {
                Next::Again => {}
                // Nobody notifies of the peer's table but the local lane, in this process: there is nothing to announce.
                Next::Announce if self.table == Table::OutboxPeer => {}
                Next::Announce => {
                    within(store::announce_awake(&mut conn, AWAKE)).await?;
                    pace.announced(Instant::now());
                }
                Next::Wait(interval) => tokio::select! {
                    () = token.cancelled() => {}
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(interval) => {}
                    () = until(waiting.unremoved.next_due()) => {}
                },
            }
        }
        within(conn.close()).await
    }

    /// Whether the session can still write.
    async fn ask(&self, conn: &mut PgConnection) -> Result<(), LaneError> {
        let asked = within(database::still_writes(conn)).await;
        if asked.is_err() {
            self.condemned.notify_one();
        }
        asked
    }

    /// Publishes the oldest rows and removes those that were acknowledged.
    async fn round(
        &self,
        conn: &mut PgConnection,
        publisher: &Publisher,
        Waiting { refused, unremoved }: &mut Waiting,
        token: &CancellationToken,
    ) -> Result<Found, LaneError> {
        self.remove_due(conn, unremoved).await?;
        if unremoved.is_full() {
            return Ok(Found::Nothing);
        }
        let mut held = refused.held(Instant::now());
        held.extend(unremoved.aggregates().cloned());
        let rows_max = refused.rows_max(store::BATCH_ROWS_MAX);
        let rows = within(store::oldest(conn, self.table, rows_max, &held)).await?;
        if rows.is_empty() {
            refused.drained();
            return Ok(Found::Nothing);
        }
        // Of a round of one row it is known which is refused.
        let only = if let [row] = rows.as_slice() { Some(row.clone()) } else { None };
        let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
        let aggregates: Vec<_> = rows.iter().map(|row| row.aggregate_id.clone()).collect();
        let ages: Vec<_> = rows.iter().map(|row| row.created_at).collect();
        let records: Vec<_> = rows.into_iter().map(|row| headers::encode(row, &self.source)).collect();
        crash_point("relay.round.before-publish").await;
        let Published { acknowledged, failure } = tokio::select! {
            published = publisher.publish(&records) => published,
            () = stopped_for(STOP_GRACE, token) => return Err(LaneError::Stopped),
        };
        crash_point("relay.round.after-publish").await;
        if !acknowledged.is_empty() {
            let done: Vec<_> = acknowledged.iter().map(|&place| ids[place]).collect();
            crash_point("relay.round.before-commit").await;
            match within(store::remove(conn, self.table, self.after, &done)).await {
                Err(LaneError::Database(error)) if is_blocked(&error) => {
                    let published = acknowledged.iter().map(|&place| (ids[place], aggregates[place].clone()));
                    unremoved.add(published, Instant::now());
                    self.remove_due(conn, unremoved).await?;
                }
                removed => removed?,
            }
            crash_point("relay.round.after-commit").await;
            metrics::counter!(telemetry::PUBLISHED, "lane" => self.name()).increment(done.len() as u64);
            let now = Utc::now();
            for place in &acknowledged {
                let delay = (now - ages[*place]).to_std().unwrap_or_default();
                metrics::histogram!(telemetry::PUBLISH_DELAY, "lane" => self.name()).record(delay.as_secs_f64());
            }
        }
        match failure {
            None if rows_max == 1 || store::is_full(acknowledged.len()) => {
                refused.passed();
                Ok(Found::Full)
            }
            None => Ok(Found::Some),
            Some(error) if error.is_permanent() => Err(self.refuse(refused, only.as_ref(), error)),
            Some(error) => Err(LaneError::Publish(error)),
        }
    }

    /// Removes what could not be removed before, as far as nobody holds it.
    async fn remove_due(&self, conn: &mut PgConnection, unremoved: &mut Unremoved) -> Result<(), LaneError> {
        let due = unremoved.due(Instant::now());
        if due.is_empty() {
            return Ok(());
        }
        let left = match within(store::remove_free(conn, self.table, self.after, &due)).await {
            Ok(left) => Some(left),
            // The table is held whole.
            Err(LaneError::Database(error)) if is_blocked(&error) => None,
            Err(error) => return Err(error),
        };
        if left.as_ref().is_none_or(|left| !left.is_empty()) {
            tracing::warn!(
                lane = self.name(),
                "published events are held by somebody and removed later; their aggregates wait"
            );
        }
        unremoved.tried(left, Instant::now());
        Ok(())
    }

    /// The broker will not take it, now or later.
    fn refuse(&self, refused: &mut Refused, only: Option<&OutboxRow>, error: PublishError) -> LaneError {
        let why = only.map(|row| {
            let bytes = row.payload.len();
            format!("event {} of {} ({bytes} bytes) is refused by the broker: {error}", row.id, row.event_type)
        });
        let aggregate = only.map(|row| row.aggregate_id.as_str());
        if !refused.refused(aggregate, why.as_deref().unwrap_or_default(), Instant::now()) {
            return LaneError::Publish(error);
        }
        tracing::error!(
            lane = self.name(),
            event_id = only.map(|row| tracing::field::display(row.id)),
            topic = only.map(|row| row.event_type.as_str()),
            payload_bytes = only.map(|row| row.payload.len()),
            %error,
            "event refused by the broker: its aggregate waits, others pass; mend the topic's settings or access rights"
        );
        LaneError::Held(error)
    }

    fn name(&self) -> &'static str {
        match self.table {
            Table::Outbox => "local",
            Table::OutboxPeer => "peer",
        }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, LaneError> {
    tokio::time::timeout(DATABASE_DEADLINE, work)
        .await
        .map_err(|_| LaneError::DatabaseDeadline)?
        .map_err(LaneError::from)
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
