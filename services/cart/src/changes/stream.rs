//! The stream of changes from one connection to Postgres.

use std::str::FromStr as _;
use std::time::Duration;

use chassis::database;
use futures::FutureExt as _;
use percent_encoding::percent_decode_str;
use pgwire_replication::{PgWireError, ReplicationClient, ReplicationConfig, ReplicationEvent};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use super::pgoutput::{Decoder, Malformed};
use super::visibility::{Changed, NotASnapshot, Snapshot};

/// The migration that makes it says which tables it has.
const PUBLICATION: &str = "cart_changes";
/// Longest wait for the connections and the slot. A slot waits for the transactions that run; the longest of ours are cut at 10 s.
const OPEN_DEADLINE: Duration = Duration::from_secs(15);
/// Postgres gives up waiting for one transaction before we do, so that no tries pile up behind a transaction that runs for hours.
const SLOT_LOCK_TIMEOUT_MS: u32 = 12_000;
/// Postgres sends a sign of life after half of this without an answer from us, and gives us up after the whole.
const SENDER_TIMEOUT_MS: u32 = 2_000;
/// After this long without a sign of life the connection is dead, however alive it looks. It bounds how stale a read from the cache can be
/// when the network between Postgres and us vanishes without a word.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// A look at the running transactions is a lookup in shared memory.
const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(2);
/// How often the server is asked whether it still takes writes. One that was demoted and lives has nothing to tell, for ever.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Events between the connection's task and us. A full buffer makes Postgres wait, not us grow.
const EVENTS_MAX: usize = 1_024;
/// Events taken at once before the carts in them are acted upon.
const BATCH_MAX: usize = 1_024;
/// A message is a row of ids, less than 1 kB. The limit is on what a stranger's `pg_logical_emit_message` may make us hold.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The replication connection failed or could not be had.
    #[error("the replication connection failed")]
    Replication(#[from] PgWireError),
    /// The slot waits for a transaction of the server to end, and does not wait any longer.
    #[error("the slot waits for a transaction of the server")]
    SlotWaits(#[source] PgWireError),
    /// The connection that looks at snapshots failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// The server did not do something in time.
    #[error("{0} took too long")]
    TooLong(&'static str),
    /// The server closed the stream.
    #[error("the server ended the stream")]
    Ended,
    /// The stream says something that we do not understand.
    #[error("the stream is not understood: {0}")]
    Malformed(String),
}

impl From<Malformed> for FeedError {
    fn from(error: Malformed) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<NotASnapshot> for FeedError {
    fn from(error: NotASnapshot) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A committed transaction and the carts it touched.
pub(super) type Heard = (u32, Changed);

/// An open stream: it hears of every transaction that commits after [`Stream::open`] has returned.
pub(super) struct Stream {
    client: ReplicationClient,
    snapshots: PgConnection,
    decoder: Decoder,
    /// The transaction that is being told.
    telling: Heard,
    last_sign: Instant,
    asked_at: Instant,
}

impl Stream {
    /// Makes a temporary slot, which goes with the connection, and starts to listen. On a server that takes no writes there is nothing to
    /// hear.
    pub(super) async fn open(options: &PgConnectOptions) -> Result<Self, FeedError> {
        let opened = async {
            let slot = format!("{PUBLICATION}_{}", Uuid::new_v4().simple());
            let mut client = ReplicationClient::connect_gated(config(options, &slot)).await?;
            let create = format!("CREATE_REPLICATION_SLOT {slot} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT");
            client.simple_query(&create).await.map_err(not_made)?;
            client.start().await?;
            client.wait_started().await?;
            let mut snapshots = PgConnection::connect_with(options).await?;
            database::still_writes(&mut snapshots).await?;
            let now = Instant::now();
            let telling = (0, Changed::default());
            Ok(Self { client, snapshots, decoder: Decoder::default(), telling, last_sign: now, asked_at: now })
        };
        timeout(OPEN_DEADLINE, opened).await.map_err(|_| FeedError::TooLong("opening the stream of changes"))?
    }

    /// The next transactions, as many as are there; possibly none, after a sign of life. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<Heard>, FeedError> {
        let first = timeout_at(self.last_sign + SILENCE_MAX, self.client.recv()).await;
        let mut next = Some(first.map_err(|_| FeedError::TooLong("a sign of life from the server"))?);
        self.last_sign = Instant::now();
        let mut heard = Vec::new();
        // No await from here on.
        while let Some(event) = next {
            heard.extend(self.read(event?.ok_or(FeedError::Ended)?)?);
            next = if heard.len() < BATCH_MAX { self.client.recv().now_or_never() } else { None };
        }
        Ok(heard)
    }

    fn read(&mut self, event: ReplicationEvent) -> Result<Option<Heard>, FeedError> {
        match event {
            ReplicationEvent::Begin { xid, .. } => self.telling = (xid, Changed::default()),
            ReplicationEvent::XLogData { data, .. } => self.telling.1.add(self.decoder.read(&data)?),
            ReplicationEvent::Commit { end_lsn, .. } => {
                self.client.update_applied_lsn(end_lsn);
                return Ok(Some(std::mem::take(&mut self.telling)));
            }
            // What was done in other databases and tables needs no keeping either.
            ReplicationEvent::KeepAlive { wal_end, .. } => self.client.update_applied_lsn(wal_end),
            ReplicationEvent::Message { .. } | ReplicationEvent::StoppedAt { .. } => {}
        }
        Ok(None)
    }

    /// Asks the server whether it still takes writes, when it was not asked for a while.
    pub(super) async fn keep(&mut self) -> Result<(), FeedError> {
        if self.asked_at.elapsed() < ASK_EVERY {
            return Ok(());
        }
        self.asked_at = Instant::now();
        let asked = timeout(SNAPSHOT_DEADLINE, database::still_writes(&mut self.snapshots)).await;
        Ok(asked.map_err(|_| FeedError::TooLong("telling whether it takes writes"))??)
    }

    /// Which transactions have ended by now.
    pub(super) async fn snapshot(&mut self) -> Result<Snapshot, FeedError> {
        let asked = sqlx::query_scalar!(r#"select pg_current_snapshot()::text as "snapshot!""#);
        let asked = timeout(SNAPSHOT_DEADLINE, asked.fetch_one(&mut self.snapshots)).await;
        let snapshot = asked.map_err(|_| FeedError::TooLong("a look at the running transactions"))??;
        Ok(Snapshot::from_str(&snapshot)?)
    }
}

/// Why the slot was not made. The code of a refusal is in its text only: 55P03 is the lock time-out.
fn not_made(error: PgWireError) -> FeedError {
    match &error {
        PgWireError::Server(refusal) if refusal.contains("SQLSTATE 55P03") => FeedError::SlotWaits(error),
        _ => FeedError::Replication(error),
    }
}

/// The replication connection goes where the pool goes.
fn config(options: &PgConnectOptions, slot: &str) -> ReplicationConfig {
    // The options tell their password only this way.
    let url = options.to_url_lossy();
    let password = percent_decode_str(url.password().unwrap_or_default()).decode_utf8_lossy().into_owned();
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    ReplicationConfig::new(options.get_host(), user, password, database, slot, PUBLICATION)
        .with_port(options.get_port())
        .with_options(format!("-c wal_sender_timeout={SENDER_TIMEOUT_MS} -c lock_timeout={SLOT_LOCK_TIMEOUT_MS}"))
        .with_application_name(PUBLICATION)
        .with_buffer_size(EVENTS_MAX)
        .with_max_message_size(MESSAGE_BYTES_MAX)
}
