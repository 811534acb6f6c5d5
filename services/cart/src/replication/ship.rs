//! Shipping this region's log to the other one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chassis::client::{Dependency, DependencyConfig};
use chassis::database;
use chassis::retry::Backoff;
use contracts::cart::v1::cart_replication_service_client::CartReplicationServiceClient;
use contracts::cart::v1::{ReplicateRequest, ReplicateResponse};
use futures::future::{BoxFuture, Fuse, FusedFuture as _};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use ids::CartId;
use replication::shipper::{Effect, Halt, Input, LogRead, Shipper};
use replication::{Position, ReplicaId};
use sqlx::{ConnectOptions as _, PgConnection, PgPool};
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::wire::{self, Malformed};
use super::{MESSAGES_WAITING_MAX, Payload, Replica, STORE_DEADLINE, config};
use crate::store::StoreError;
use crate::store::replica as store;

/// The lock of the one process of the region that ships: "cart" in ASCII, so that it collides with nobody else's.
const LOCK: i64 = 0x6361_7274;
/// How often a process that stands by asks for the lock.
const STANDBY_INTERVAL: Duration = Duration::from_secs(1);
/// How often the session with the lock is asked whether it can still write. Between streams nobody else would notice that its server was
/// demoted, or that it is gone and the lock with it.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Between two looks at a log that grows all the time: what is committed meanwhile travels, and is joined over there, as one batch
/// instead of one by one. It is what a change may wait here, on a link that takes forty milliseconds one way.
const GATHER: Duration = Duration::from_millis(10);
/// Between two times that it is stored how far the other region has come. Only trimming needs it, which looks every ten seconds; with each
/// acknowledgement it would be a commit for each batch.
const PERSIST_ACKED_EVERY: Duration = Duration::from_secs(1);
/// For opening a stream: some round trips. Short, since after a cut this is how long the heal is noticed late.
const OPEN_DEADLINE: Duration = Duration::from_secs(2);
/// Between attempts while the other region is away.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));

/// How to call the other region. Its stream is never silent for a second (see `poll_every` of the crate's configuration) unless the
/// link is cut; such a connection is given up after six seconds, when the link itself has long begun to try again.
pub fn peer() -> DependencyConfig {
    DependencyConfig {
        connect_timeout: OPEN_DEADLINE,
        keep_alive_interval: Duration::from_secs(3),
        ..DependencyConfig::default()
    }
}

/// Why a stream ended. Another is begun.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the other region refused or broke the stream")]
    Stream(#[from] Status),
    #[error("the other region did not answer within {OPEN_DEADLINE:?}")]
    Unanswered,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the store did not answer within {STORE_DEADLINE:?}")]
    StoreDeadline,
    #[error("the stream ended")]
    Closed,
    #[error(transparent)]
    Halted(Halt),
}

/// Ships the log of `replica` to `peer` until `token` is cancelled. Of a region's processes one ships, the others stand by.
///
/// # Errors
/// The database cannot be reached, or only be read; nothing is lost, begin again.
pub async fn ship(
    pool: PgPool,
    peer: Dependency,
    replica: Replica,
    token: CancellationToken,
) -> Result<(), StoreError> {
    let mut lock = pool.connect_options().as_ref().clone().connect().await?;
    while !try_lock(&mut lock).await? {
        still_writes(&mut lock).await?;
        tokio::select! {
            () = token.cancelled() => return Ok(()),
            () = tokio::time::sleep(STANDBY_INTERVAL) => {}
        }
    }
    let mut failures = 0;
    while !token.is_cancelled() {
        let started = Instant::now();
        let ended = tokio::select! {
            () = token.cancelled() => break,
            ended = one_stream(&pool, &peer, &replica) => ended,
            lost = keep(&mut lock) => return Err(lost),
        };
        if let Ended::Halted(halt) = &ended {
            tracing::error!(%halt, "shipping has stopped and carts take no edits until someone looks");
            // For every process, and the next lives of this one.
            store::rewound(&pool).await?;
            replica.rewind();
            token.cancelled().await;
            break;
        }
        failures = if started.elapsed() > OPEN_DEADLINE * 2 { 1 } else { failures + 1 };
        tracing::warn!(error = &ended as &dyn std::error::Error, failures, "replication interrupted");
        metrics::counter!("cart_replication_interruptions_total").increment(1);
        tokio::select! {
            () = token.cancelled() => {}
            () = tokio::time::sleep(BACKOFF.delay_now(failures)) => {}
        }
        // The lock lives as long as its connection: if that broke, another process may be shipping by now.
        try_lock(&mut lock).await?;
    }
    Ok(())
}

/// Taking a lock that one has is no error; each time is one more to give back, which the end of the connection does.
async fn try_lock(connection: &mut PgConnection) -> Result<bool, StoreError> {
    let locked = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "locked!""#, LOCK);
    Ok(locked.fetch_one(connection).await?)
}

/// Asks the session with the lock now and then; ends when it is of no more use. The log's session is never older, so it is asked for both.
async fn keep(lock: &mut PgConnection) -> StoreError {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        if let Err(error) = still_writes(lock).await {
            return error;
        }
    }
}

async fn still_writes(lock: &mut PgConnection) -> Result<(), StoreError> {
    let asked = tokio::time::timeout(STORE_DEADLINE, database::still_writes(lock)).await;
    let asked = asked.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
    Ok(asked?)
}

/// The connection that the log is read with. The same query a hundred times a second, and planning it anew each time, which the server does
/// as long as it takes the general plan for dearer, costs three times as much as running it. The general plan is the right one: a look into
/// the log's index from the position on.
async fn log_connection(pool: &PgPool) -> Result<PgConnection, StoreError> {
    let options = pool.connect_options().as_ref().clone().options([("plan_cache_mode", "force_generic_plan")]);
    Ok(options.connect().await?)
}

async fn one_stream(pool: &PgPool, peer: &Dependency, replica: &Replica) -> Ended {
    let log = match log_connection(pool).await {
        Ok(connection) => Arc::new(Mutex::new(connection)),
        Err(error) => return error.into(),
    };
    let (requests, outgoing) = mpsc::channel(MESSAGES_WAITING_MAX);
    let mut client = CartReplicationServiceClient::new(peer.channel());
    let opened = client.replicate(ReceiverStream::new(outgoing));
    let answers = match tokio::time::timeout(OPEN_DEADLINE, opened).await {
        Ok(Ok(answers)) => answers.into_inner(),
        Ok(Err(status)) => return Ended::Stream(status),
        Err(_) => return Ended::Unanswered,
    };
    let session = Session {
        pool: pool.clone(),
        log,
        replica: replica.clone(),
        machine: Shipper::new(config(), replica.log()),
        requests,
        work: FuturesUnordered::new(),
        epoch: Instant::now(),
        grew: false,
        look_at: Instant::now(),
        acked: None,
        persisting: Fuse::terminated(),
        persist_at: Instant::now(),
    };
    session.run(answers).await
}

type Step = Result<Option<Input<CartId, Payload>>, Ended>;

struct Session {
    pool: PgPool,
    /// Read by one at a time, as the machine asks. A read that is given up ends the session, and the connection with it.
    log: Arc<Mutex<PgConnection>>,
    replica: Replica,
    machine: Shipper<CartId>,
    requests: mpsc::Sender<ReplicateRequest>,
    /// What the store was asked; the machine asks for one of each at a time.
    work: FuturesUnordered<BoxFuture<'static, Step>>,
    /// The machine's time counts from here.
    epoch: Instant,
    /// The log has grown, and the machine was not told yet.
    grew: bool,
    /// When to tell it next.
    look_at: Instant,
    /// How far which replica has come, when that is not stored yet.
    acked: Option<(ReplicaId, Position)>,
    /// At most one at a time, so that an older position never overtakes a newer one.
    persisting: Fuse<BoxFuture<'static, Step>>,
    persist_at: Instant,
}

impl Session {
    async fn run(mut self, mut answers: Streaming<ReplicateResponse>) -> Ended {
        let mut input = Some(Input::Opened);
        loop {
            if let Some(input) = input.take() {
                for effect in self.machine.handle(input, self.epoch.elapsed()) {
                    if let Err(ended) = self.carry_out(effect).await {
                        return ended;
                    }
                }
            }
            let wake = self.machine.wake_at().map(|at| self.epoch + at);
            let step: Step = tokio::select! {
                message = answers.message() => match message {
                    Ok(Some(message)) => {
                        wire::to_shipper(message).map(|message| Some(Input::Received(message))).map_err(Ended::from)
                    }
                    Ok(None) => Err(Ended::Closed),
                    Err(status) => Err(Ended::Stream(status)),
                },
                Some(step) = self.work.next() => step,
                step = &mut self.persisting, if !self.persisting.is_terminated() => step,
                () = tokio::time::sleep_until(self.persist_at),
                    if self.acked.is_some() && self.persisting.is_terminated() =>
                {
                    self.persist_acked();
                    Ok(None)
                }
                () = self.replica.log_grew.notified(), if !self.grew => {
                    self.grew = true;
                    Ok(None)
                }
                () = tokio::time::sleep_until(self.look_at), if self.grew => {
                    self.grew = false;
                    self.look_at = Instant::now() + GATHER;
                    Ok(Some(Input::LogGrew))
                }
                () = sleep_until(wake) => Ok(Some(Input::Tick)),
            };
            match step {
                Ok(next) => input = next,
                Err(ended) => return ended,
            }
        }
    }

    async fn carry_out(&mut self, effect: Effect<CartId, Payload>) -> Result<(), Ended> {
        let (pool, replica, log) = (self.pool.clone(), self.replica.clone(), self.log.clone());
        match effect {
            Effect::Send(message) => {
                return self.requests.send(wire::request(message)).await.map_err(|_| Ended::Closed);
            }
            Effect::Halt(halt) => return Err(Ended::Halted(halt)),
            Effect::ReadLog { after, entries_max, bytes_max } => self.start(async move {
                let replica = replica.id();
                let mut connection = log.lock().await;
                #[cfg_attr(not(feature = "sabotage"), allow(unused_mut, reason = "only sabotage changes it"))]
                let mut log = store::read_log(&mut connection, replica, after, entries_max, bytes_max).await?;
                #[cfg(feature = "sabotage")]
                if store::last_writer_wins::is_chosen() {
                    store::last_writer_wins::disguise(&mut connection, &mut log).await?;
                }
                let weight = |(_, operation): &(_, store::Operation)| operation.delta.len() + operation.outcome.len();
                Ok(Some(Input::LogRead(LogRead {
                    after,
                    through: log.through,
                    trimmed: log.trimmed,
                    more: log.more,
                    bytes: log.operations.iter().map(weight).sum(),
                    entries: log.operations.into_iter().map(|(id, op)| (id, Payload::Operation(op))).collect(),
                })))
            }),
            Effect::PersistAcked { receiver, position } => self.acked = Some((receiver, position)),
            // Comparing would join the carts of the sabotaged cart as they should be, in the middle of its overwriting.
            #[cfg(feature = "sabotage")]
            Effect::ReadDigests { request, .. } if store::last_writer_wins::is_chosen() => {
                self.start(async move { Ok(Some(Input::Digests { request, carts: Vec::new() })) });
            }
            Effect::ReadDigests { request, after, limit } => self.start(async move {
                Ok(Some(Input::Digests { request, carts: store::digests(&pool, after, None, limit).await? }))
            }),
            Effect::ReadStates { request, ids, bytes_max } => self.start(async move {
                let replicas = store::replicas(&pool, replica.id(), &ids, bytes_max).await?;
                let states = replicas.into_iter().map(|(id, replica)| (id, Payload::Replica(replica))).collect();
                Ok(Some(Input::States { request, states }))
            }),
        }
        Ok(())
    }

    fn persist_acked(&mut self) {
        let Some((receiver, position)) = self.acked.take() else { return };
        let pool = self.pool.clone();
        let persist = async move {
            store::acknowledged(&pool, receiver, position).await?;
            Ok(None)
        };
        self.persisting = bounded(persist).fuse();
        self.persist_at = Instant::now() + PERSIST_ACKED_EVERY;
    }

    fn start(&self, work: impl Future<Output = Asked> + Send + 'static) {
        self.work.push(bounded(work));
    }
}

/// What the store answers, and what the machine is told of it.
type Asked = Result<Option<Input<CartId, Payload>>, StoreError>;

fn bounded(work: impl Future<Output = Asked> + Send + 'static) -> BoxFuture<'static, Step> {
    let bounded = async move {
        match tokio::time::timeout(STORE_DEADLINE, work).await {
            Ok(done) => done.map_err(Ended::from),
            Err(_) => Err(Ended::StoreDeadline),
        }
    };
    bounded.boxed()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
