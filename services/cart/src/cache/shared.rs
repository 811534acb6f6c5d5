//! The cache in Redis, shared by the processes of a region. [`super::session`] says when it may be relied upon.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chassis::breaker::{Breaker, BreakerConfig, Outcome};
use ids::CartId;
use redis::{Client, FromRedisValue, RedisError, Script, ScriptInvocation};
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use super::session::{Session, Sessions};
use super::value::{self, Visible};

/// The name of the epoch. It has no time to live, so it is not thrown out when Redis is full.
pub(super) const EPOCH: &str = "cart:epoch";
/// Redis in the same region answers in a fraction of a millisecond; a load from the database takes two.
const READ_DEADLINE: Duration = Duration::from_millis(10);
/// An eviction that takes longer counts as lost, and ends the session. Longer than a read's: a hiccup is no reason to forget all carts.
const EVICT_DEADLINE: Duration = Duration::from_millis(250);
/// A load takes a few milliseconds. Who takes longer than this, or died, has no right to fill.
const LEASE: Duration = Duration::from_millis(500);
/// Carts per call: a tenth of a millisecond of Redis' time, in which it serves nobody else.
const EVICTED_AT_ONCE: usize = 128;
/// After ten reads of which half failed Redis is left alone: an outage costs ten requests 10 ms, and then one every two seconds.
pub(super) const BREAKER: BreakerConfig = BreakerConfig {
    window: Duration::from_secs(5),
    calls_min: 10,
    failures_percent: 50,
    open_for: Duration::from_millis(250),
    open_for_max: Duration::from_secs(2),
};

/// What a look into the cache found.
pub(super) enum Looked {
    /// A cart, how long its load took, and when it expires.
    Hit { visible: Visible, load_time: Duration, remaining: Duration },
    /// Nothing; whoever has this lease may fill it.
    Leased(Lease),
    /// Nothing; somebody else is loading it.
    Busy,
    /// The cache cannot be used.
    Away,
}

/// The right to fill one cart, until it changes.
pub(super) struct Lease {
    token: String,
    session: Session,
}

/// The cache of one region, as one process sees it.
pub struct SharedCache {
    pub(super) client: Client,
    time_to_live: Duration,
    pub(super) sessions: Mutex<Sessions>,
    pub(super) wanted: Notify,
    pub(super) breaker: Mutex<Breaker>,
    look: Script,
    lease: Script,
    fill: Script,
    evict: Script,
}

impl SharedCache {
    /// A cache in the Redis at `url`, whose values live for `time_to_live`. It is not used before [`SharedCache::keep`] runs and a feed has
    /// begun.
    ///
    /// # Errors
    /// When the URL does not parse.
    pub fn new(url: &str, time_to_live: Duration) -> Result<Self, RedisError> {
        Ok(Self {
            client: Client::open(url)?,
            time_to_live,
            sessions: Mutex::default(),
            wanted: Notify::new(),
            breaker: Mutex::new(Breaker::new(BREAKER, Instant::now())),
            look: Script::new(include_str!("lua/look.lua")),
            lease: Script::new(include_str!("lua/lease.lua")),
            fill: Script::new(include_str!("lua/fill.lua")),
            evict: Script::new(include_str!("lua/evict.lua")),
        })
    }

    /// Takes changed carts out. What could not be taken out makes the cache unused until a new epoch has begun.
    pub(crate) async fn evict(&self, cart_ids: impl Iterator<Item = CartId>) {
        let Some(session) = self.sessions().connected_session() else { return };
        let mut cart_ids = cart_ids.peekable();
        while cart_ids.peek().is_some() {
            let mut call = self.evict.key(EPOCH);
            let batch: Vec<CartId> = cart_ids.by_ref().take(EVICTED_AT_ONCE).collect();
            batch.iter().for_each(|cart_id| {
                call.arg(cart_id.to_string());
            });
            match call_within::<u64>(EVICT_DEADLINE, &session, &call).await {
                Ok(taken) => {
                    metrics::counter!("cart_cache_evictions_total").increment(taken);
                    let mut sessions = self.sessions();
                    batch.into_iter().for_each(|cart_id| sessions.taken_out(cart_id));
                }
                Err(error) => {
                    tracing::warn!(%error, "an eviction failed; the read cache is not used until a new epoch has begun");
                    return self.end(&session);
                }
            }
        }
    }

    /// Takes a cart out that this process has changed, before the change is answered: whoever has seen the answer and then reads, in
    /// whichever process, reads what was written. A Redis that does not answer at once delays no change: the feed evicts as well, and
    /// until it has, this process reads the cart from the database.
    pub(super) async fn evict_own(&self, cart_id: CartId) {
        let Some(session) = self.usable() else { return self.leave_in(cart_id) };
        let mut call = self.evict.key(EPOCH);
        call.arg(cart_id.to_string());
        let evicted = call_within::<u64>(READ_DEADLINE, &session, &call).await;
        if self.observe(&session, evicted).is_none() {
            self.leave_in(cart_id);
        }
    }

    fn leave_in(&self, cart_id: CartId) {
        let session = self.sessions().connected_session();
        let of_no_use = self.sessions().leave_in(cart_id);
        if let Some(session) = session.filter(|_| of_no_use) {
            self.end(&session);
        }
    }

    /// Puts everything out of reach.
    pub(crate) async fn evict_all(&self) {
        let Some(session) = self.sessions().connected_session() else { return };
        if let Err(error) = self.begin_epoch(&session).await {
            tracing::warn!(%error, "no new epoch could be begun; the read cache is not used until one has");
            self.end(&session);
        }
    }

    pub(super) async fn look(&self, cart_id: CartId) -> Looked {
        if self.sessions().is_left_in(cart_id) {
            return Looked::Away;
        }
        let Some(session) = self.usable() else { return Looked::Away };
        let token = Uuid::new_v4().simple().to_string();
        let mut call = self.look.key(EPOCH);
        call.arg(cart_id.to_string()).arg(&token).arg(millis(LEASE));
        let looked = call_within::<(i64, Option<Vec<u8>>, i64)>(READ_DEADLINE, &session, &call).await;
        match self.observe(&session, looked) {
            Some((1, Some(bytes), remaining_ms)) => match value::decode(cart_id, &bytes) {
                Some((visible, load_time)) => {
                    let remaining = Duration::from_millis(u64::try_from(remaining_ms).unwrap_or_default());
                    Looked::Hit { visible, load_time, remaining }
                }
                None => Looked::Away,
            },
            Some((2, ..)) => Looked::Leased(Lease { token, session }),
            Some((3, ..)) => Looked::Busy,
            Some(_) => {
                // Somebody emptied Redis: there is no epoch to rely upon.
                self.end(&session);
                Looked::Away
            }
            None => Looked::Away,
        }
    }

    /// The lease of a cart that is there, to refresh it; `None` when somebody else has it.
    pub(super) async fn lease(&self, cart_id: CartId) -> Option<Lease> {
        let session = self.usable()?;
        let token = Uuid::new_v4().simple().to_string();
        let mut call = self.lease.key(EPOCH);
        call.arg(cart_id.to_string()).arg(&token).arg(millis(LEASE));
        let taken = call_within::<bool>(READ_DEADLINE, &session, &call).await;
        self.observe(&session, taken)?.then_some(Lease { token, session })
    }

    /// Stores what was loaded under `lease`, unless it has changed since; `None` only gives the lease back.
    pub(super) async fn fill(&self, cart_id: CartId, lease: Lease, loaded: Option<(&Visible, Duration)>) {
        let bytes = loaded.map(|(visible, load_time)| value::encode(visible, load_time)).unwrap_or_default();
        let stored = !bytes.is_empty() && bytes.len() <= value::BYTES_MAX;
        let (bytes, time_to_live) = if stored { (bytes, self.time_to_live) } else { (Vec::new(), Duration::ZERO) };
        let mut call = self.fill.key(EPOCH);
        call.arg(cart_id.to_string()).arg(&lease.token).arg(bytes).arg(millis(time_to_live));
        let filled = call_within::<bool>(READ_DEADLINE, &lease.session, &call).await;
        if self.observe(&lease.session, filled) == Some(false) {
            metrics::counter!("cart_cache_fills_refused_total").increment(1);
        }
    }

    /// The session to read with, if there is one and Redis is not being left alone.
    fn usable(&self) -> Option<Session> {
        let session = self.sessions().begun_session()?;
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        breaker.acquire(Instant::now()).is_ok().then_some(session)
    }

    /// Tells the breaker how a call ended, and ends the session with its connection.
    fn observe<T>(&self, session: &Session, answer: Result<T, RedisError>) -> Option<T> {
        let outcome = if answer.is_ok() { Outcome::Success } else { Outcome::Failure };
        if self.breaker.lock().unwrap_or_else(PoisonError::into_inner).record(outcome, Instant::now()) {
            tracing::warn!("redis does not answer; carts are read from the database");
        }
        answer
            .inspect_err(|error| {
                tracing::debug!(%error, "redis failed");
                if is_of_no_use(error) {
                    self.end(session);
                }
            })
            .ok()
    }
}

/// Whether the connection is lost, or leads to a server that takes no writes any more: it was demoted, or lost its disk. A new one finds
/// whoever takes them now, or nobody, and is tried again.
fn is_of_no_use(error: &RedisError) -> bool {
    let is_demoted = matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING" | "MISCONF"));
    is_demoted || (error.is_unrecoverable_error() && !error.is_timeout())
}

async fn call_within<T: FromRedisValue>(
    deadline: Duration,
    session: &Session,
    call: &ScriptInvocation<'_>,
) -> Result<T, RedisError> {
    // A clone shares the connection, on which calls are answered in the order in which they were made.
    let mut connection = session.connection.clone();
    timeout(deadline, call.invoke_async(&mut connection)).await.map_err(|_| too_long())?
}

pub(super) fn too_long() -> RedisError {
    std::io::Error::from(std::io::ErrorKind::TimedOut).into()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
