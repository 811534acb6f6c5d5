//! Getting sessions with Redis, and losing them.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chassis::breaker::Breaker;
use chassis::retry::Backoff;
use redis::{AsyncConnectionConfig, RedisError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::session::{Session, Sessions};
use super::shared::{BREAKER, EPOCH, SharedCache, too_long};

/// Longest wait for a connection and for the beginning of its epoch.
const OPEN_DEADLINE: Duration = Duration::from_millis(500);
/// Pauses between tries to get one.
const REOPEN: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
impl SharedCache {
    /// Opens a session whenever one is wanted, until `token` is cancelled.
    ///
    /// # Errors
    /// None; the signature is that of a worker.
    pub async fn keep(&self, token: CancellationToken) -> Result<(), RedisError> {
        let mut failures = 0;
        loop {
            let wanting = self.sessions().wanting();
            let pause = match wanting {
                None => None,
                Some(feed) => match self.open(feed).await {
                    Ok(()) => {
                        failures = 0;
                        tracing::info!("the read cache is used");
                        continue;
                    }
                    Err(error) => {
                        failures += 1;
                        tracing::debug!(%error, "no session with the read cache");
                        Some(REOPEN.delay_now(failures))
                    }
                },
            };
            let wanted = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => self.wanted.notified().await,
                }
            };
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = wanted => {}
            }
        }
    }

    pub(super) async fn open(&self, feed: u64) -> Result<(), RedisError> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(OPEN_DEADLINE)).set_response_timeout(None);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config);
        let connection = timeout(OPEN_DEADLINE, connected).await.map_err(|_| too_long())??;
        let Some(session) = self.sessions().connected(feed, connection) else { return Ok(()) };
        self.begin_epoch(&session).await.inspect_err(|_| self.end(&session))?;
        *self.breaker.lock().unwrap_or_else(PoisonError::into_inner) = Breaker::new(BREAKER, Instant::now());
        self.sessions().begun(session.number);
        Ok(())
    }

    /// Random, not counted: a Redis that forgot the epoch, or came back with an old one, must not meet a name that was used.
    pub(super) async fn begin_epoch(&self, session: &Session) -> Result<(), RedisError> {
        let mut connection = session.connection.clone();
        let mut set = redis::cmd("SET");
        set.arg(EPOCH).arg(Uuid::new_v4().simple().to_string());
        timeout(OPEN_DEADLINE, set.query_async(&mut connection)).await.map_err(|_| too_long())?
    }

    /// A feed hears of every change from now on.
    pub(crate) fn feed_begins(&self) {
        self.sessions().feed_begins();
        self.wanted.notify_one();
    }

    /// Changes are not heard of any more.
    pub(crate) fn feed_ends(&self) {
        self.sessions().feed_ends();
    }

    pub(super) fn end(&self, session: &Session) {
        if self.sessions().end(session.number) {
            metrics::counter!("cart_cache_sessions_lost_total").increment(1);
            self.wanted.notify_one();
        }
    }

    /// Held for a few assignments, never across an await.
    pub(super) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
