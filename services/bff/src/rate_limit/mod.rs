//! How often one client may ask.
//!
//! The count is kept in Redis, so that it holds across processes, by the generic cell rate algorithm: one number per client,
//! one round trip per request. Redis is an aid, not a dependency: when it is slow or away, each process counts for itself,
//! and a request is a few milliseconds slower at worst, never refused for that. A breaker keeps it from being asked, and
//! waited for, each time.

mod local;
mod shared;

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chassis::breaker::{Breaker, BreakerConfig, Outcome};
use ids::CustomerId;

use self::local::LocalLimit;
use self::shared::SharedLimit;

/// A healthy Redis in the same region answers in well under a millisecond.
const REDIS_TIMEOUT: Duration = Duration::from_millis(25);
/// After ten calls of which half failed Redis is left alone, for half a second at first: an outage costs each process some
/// ten requests 25 ms, and then one request every two seconds.
const REDIS_BREAKER: BreakerConfig = BreakerConfig {
    window: Duration::from_secs(5),
    calls_min: 10,
    failures_percent: 50,
    open_for: Duration::from_millis(500),
    open_for_max: Duration::from_secs(2),
};

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Client {
    /// The holder of a session.
    Customer(CustomerId),
    /// Somebody without one.
    Address(IpAddr),
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(customer) => write!(f, "customer:{customer}"),
            Self::Address(address) => write!(f, "address:{address}"),
        }
    }
}

/// How often.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Requests a second for long.
    pub per_second: NonZeroU32,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
}

/// The client has asked too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct TooMany {
    /// When the next request will be let through, from now.
    pub retry_after: Duration,
}

/// Counts requests per client.
#[derive(Debug)]
pub struct RateLimit {
    shared: SharedLimit,
    local: LocalLimit,
    breaker: Mutex<Breaker>,
}

impl RateLimit {
    /// Counts in the Redis at `redis_url`; connects on first use. Call it inside the runtime.
    ///
    /// # Errors
    /// When the URL does not parse.
    pub fn new(redis_url: &str, quota: Quota) -> Result<Self, redis::RedisError> {
        Ok(Self {
            shared: SharedLimit::new(redis_url, quota)?,
            local: LocalLimit::new(quota),
            breaker: Mutex::new(Breaker::new(REDIS_BREAKER, Instant::now())),
        })
    }

    /// Counts one request of `client`.
    ///
    /// # Errors
    /// [`TooMany`] when it must not be served; it is not counted then.
    pub async fn admit(&self, client: Client) -> Result<(), TooMany> {
        if self.breaker(|breaker| breaker.acquire(Instant::now())).is_err() {
            return self.without_redis(client);
        }
        let counted = tokio::time::timeout(REDIS_TIMEOUT, self.shared.admit(client)).await;
        let outcome = if matches!(counted, Ok(Ok(_))) { Outcome::Success } else { Outcome::Failure };
        if self.breaker(|breaker| breaker.record(outcome, Instant::now())) {
            tracing::warn!("redis does not answer; counting requests in this process alone");
        }
        match counted {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(error)) => {
                tracing::debug!(%error, "redis failed");
                self.without_redis(client)
            }
            Err(_) => self.without_redis(client),
        }
    }

    fn without_redis(&self, client: Client) -> Result<(), TooMany> {
        metrics::counter!("rate_limit_without_redis_total").increment(1);
        self.local.admit(client)
    }

    /// Held for a few arithmetic operations, never across an await. A poisoned lock still holds numbers.
    fn breaker<T>(&self, ask: impl FnOnce(&mut Breaker) -> T) -> T {
        ask(&mut self.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
