//! The count in Redis.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client as Redis, RedisError, Script};

use super::{Client, Quota, REDIS_TIMEOUT, TooMany};

/// How long a new connection may take, and the longest pause between tries to get one.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

pub(super) struct SharedLimit {
    redis: Redis,
    /// Reconnects when it is lost; replaced when it leads to a server that takes no writes any more.
    connection: Mutex<ConnectionManager>,
    script: Script,
    cost_us: u64,
    ahead_us_max: u64,
}

impl SharedLimit {
    pub(super) fn new(url: &str, quota: Quota) -> Result<Self, RedisError> {
        let redis = Redis::open(url)?;
        let cost_us = (1_000_000 / u64::from(quota.per_second.get())).max(1);
        Ok(Self {
            connection: Mutex::new(connect(&redis)?),
            redis,
            script: Script::new(include_str!("gcra.lua")),
            cost_us,
            ahead_us_max: cost_us.saturating_mul(quota.burst.get().into()),
        })
    }

    pub(super) async fn admit(&self, client: Client) -> Result<Result<(), TooMany>, RedisError> {
        // A clone shares the connection; requests of all clients are pipelined on it.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut call = self.script.key(format!("rate:{client}"));
        let counted = call.arg(self.cost_us).arg(self.ahead_us_max).invoke_async(&mut connection).await;
        if let Err(error) = &counted
            && is_demoted(error)
        {
            // It would say the same for ever; who takes writes now is found by connecting anew.
            *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connect(&self.redis)?;
        }
        let wait_us: u64 = counted?;
        Ok(if wait_us == 0 { Ok(()) } else { Err(TooMany { retry_after: Duration::from_micros(wait_us) }) })
    }
}

fn connect(redis: &Redis) -> Result<ConnectionManager, RedisError> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(REDIS_TIMEOUT))
        .set_max_delay(CONNECT_TIMEOUT)
        // The breaker decides when to try again.
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(redis.clone(), config)
}

/// The server lives and takes no writes: it has become a replica, or cannot write.
fn is_demoted(error: &RedisError) -> bool {
    matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING" | "MISCONF"))
}

impl std::fmt::Debug for SharedLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedLimit").field("cost_us", &self.cost_us).finish_non_exhaustive()
    }
}
