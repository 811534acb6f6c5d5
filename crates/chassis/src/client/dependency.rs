//! A service that this one calls.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use super::channel::DependencyChannel;
use super::outcome;
use crate::breaker::{Breaker, BreakerConfig, Outcome};
use crate::retry::{Backoff, Budget, BudgetConfig};
use crate::server::HEADER_LIST_BYTES_MAX;
use crate::{deadline, status};

/// How patiently to call.
#[derive(Debug, Clone, Copy)]
pub struct DependencyConfig {
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// How often to ask a silent connection with calls under way whether it is alive. It is given up when it has not answered in as
    /// long again, five seconds at most.
    pub keep_alive_interval: Duration,
    /// Tries of one call, the first included.
    pub tries_max: u32,
    /// Waits between tries.
    pub backoff: Backoff,
    /// Retries over all calls.
    pub budget: BudgetConfig,
    /// When to stop calling.
    pub breaker: BreakerConfig,
}

impl Default for DependencyConfig {
    /// For a dependency in the same region.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_millis(500),
            keep_alive_interval: Duration::from_secs(20),
            tries_max: 3,
            backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(500)),
            budget: BudgetConfig::default(),
            breaker: BreakerConfig::default(),
        }
    }
}

/// The URL of a dependency does not parse.
#[derive(Debug, thiserror::Error)]
#[error("invalid URL \"{url}\" for {name}")]
pub struct InvalidUrl {
    name: &'static str,
    url: String,
    source: tonic::transport::Error,
}

/// A service that this one calls. Cheap to clone; clones share the connection, the budget and the breaker.
#[derive(Clone)]
pub struct Dependency {
    name: &'static str,
    channel: Channel,
    config: DependencyConfig,
    guards: Arc<Mutex<Guards>>,
}

#[derive(Debug)]
struct Guards {
    breaker: Breaker,
    budget: Budget,
}

impl Dependency {
    /// A dependency at `url` (`http://host:port`). Connects on first use and reconnects by itself. Call it inside the
    /// runtime.
    ///
    /// # Errors
    /// [`InvalidUrl`].
    pub fn new(name: &'static str, url: &str, config: DependencyConfig) -> Result<Self, InvalidUrl> {
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|source| InvalidUrl { name, url: url.to_owned(), source })?
            .connect_timeout(config.connect_timeout)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_keep_alive_interval(config.keep_alive_interval)
            .keep_alive_timeout(config.keep_alive_interval.min(Duration::from_secs(5)));
        let now = Instant::now();
        let guards = Guards { breaker: Breaker::new(config.breaker, now), budget: Budget::new(config.budget, now) };
        Ok(Self { name, channel: endpoint.connect_lazy(), config, guards: Arc::new(Mutex::new(guards)) })
    }

    /// The name in logs and metrics.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A channel for a call without retries, such as a stream: carries the trace and what is left of the current request's
    /// time. Prefer [`Dependency::call`].
    pub fn channel(&self) -> DependencyChannel {
        DependencyChannel::new(self.channel.clone(), deadline::current())
    }

    /// Makes an idempotent unary call: within `deadline` and what is left of the current request's time, UNAVAILABLE is tried
    /// again after a jittered wait, while the retry budget lasts. `attempt` makes one try through the channel it gets.
    ///
    /// # Errors
    /// The last try's status; UNAVAILABLE (DEPENDENCY_UNAVAILABLE) also when the connection failed or the breaker is open,
    /// DEADLINE_EXCEEDED when time ran out.
    pub async fn call<Attempt, Try, T>(&self, deadline: Duration, mut attempt: Attempt) -> Result<T, Status>
    where
        Attempt: FnMut(DependencyChannel) -> Try,
        Try: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = deadline::within(deadline);
        self.guards().budget.deposit(Instant::now());
        let mut tries = 1;
        loop {
            let channel = DependencyChannel::new(self.channel.clone(), Some(deadline));
            let status = match self.try_once(deadline, attempt(channel)).await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            let Some(wait) = self.wait_before_retry(&status, tries, deadline) else { return Err(status) };
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    async fn try_once<T>(
        &self,
        deadline: tokio::time::Instant,
        attempt: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Status> {
        let admitted = self.guards().breaker.acquire(Instant::now());
        if let Err(open) = admitted {
            let message = format!("{} is not answering; not called", self.name);
            return Err(status::unavailable(status::reasons::DEPENDENCY_UNAVAILABLE, message, open.retry_after));
        }
        let result = match tokio::time::timeout_at(deadline, attempt).await {
            Ok(result) => result.map(Response::into_inner).map_err(|status| outcome::normalise(self.name, status)),
            Err(_) => Err(status::deadline_exceeded(format!("{} did not answer in time", self.name))),
        };
        let outcome = result.as_ref().map_or_else(outcome::of, |_| Outcome::Success);
        // A statement of its own, so that the lock is free again before the log is written.
        let opened = self.guards().breaker.record(outcome, Instant::now());
        if opened {
            tracing::warn!(dependency = self.name, "circuit breaker opened");
            metrics::counter!("breaker_opened_total", "dependency" => self.name).increment(1);
        }
        result
    }

    /// How long to wait before the next try; `None` when there must be none.
    fn wait_before_retry(&self, status: &Status, tries: u32, deadline: tokio::time::Instant) -> Option<Duration> {
        if status.code() != Code::Unavailable || tries >= self.config.tries_max {
            return None;
        }
        // At least what the other side asked for, plus jitter, so that callers who were told the same do not come back
        // together.
        let wait = status::retry_delay(status).unwrap_or_default() + self.config.backoff.delay_now(tries);
        if tokio::time::Instant::now() + wait >= deadline || !self.guards().budget.withdraw(Instant::now()) {
            return None;
        }
        metrics::counter!("client_retries_total", "dependency" => self.name).increment(1);
        Some(wait)
    }

    /// The lock is held for a few arithmetic operations, never across an await. A poisoned one still holds numbers.
    fn guards(&self) -> MutexGuard<'_, Guards> {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dependency").field("name", &self.name).finish_non_exhaustive()
    }
}
