//! Keeps a sick provider from being hammered, and us from waiting for it: circuit breaker and retry budget.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chassis::breaker::{Breaker, BreakerConfig, Outcome};
use chassis::retry::{Backoff, Budget, BudgetConfig};

use super::error::CallError;

/// How patient to be.
#[derive(Clone, Copy, Debug)]
pub struct GuardConfig {
    /// When to stop calling.
    pub breaker: BreakerConfig,
    /// Retries over all calls.
    pub budget: BudgetConfig,
    /// Waits before a retry.
    pub backoff: Backoff,
    /// Tries of one call, the first included. Only a call that never left is tried again here; a call whose outcome is
    /// unknown goes back to the payment's own state, where asking comes first.
    pub tries_max: u32,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self {
            breaker: BreakerConfig::default(),
            budget: BudgetConfig::default(),
            backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(200)),
            tries_max: 2,
        }
    }
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    budget: Budget,
    /// Calls before this are refused, as far as the breaker has said.
    refused_until: Instant,
}

/// Breaker and budget of the provider.
#[derive(Debug)]
pub(super) struct Guard {
    config: GuardConfig,
    state: Mutex<State>,
}

impl Guard {
    pub(super) fn new(config: GuardConfig) -> Self {
        let now = Instant::now();
        let state = State {
            breaker: Breaker::new(config.breaker, now),
            budget: Budget::new(config.budget, now),
            refused_until: now,
        };
        Self { config, state: Mutex::new(state) }
    }

    /// Asks to make a call.
    pub(super) fn admit(&self) -> Result<(), CallError> {
        let now = Instant::now();
        let mut state = self.state();
        state.budget.deposit(now);
        state.breaker.acquire(now).map_err(|open| {
            state.refused_until = now + open.retry_after;
            CallError::NotReached { detail: "circuit breaker is open".into() }
        })
    }

    /// Records how a call that was admitted ended. A refusal or a decline is an answer: the provider is well.
    pub(super) fn record<T>(&self, result: &Result<T, CallError>) {
        let outcome = match result {
            Ok(_) | Err(CallError::Declined { .. } | CallError::Refused { .. }) => Outcome::Success,
            Err(CallError::NotReached { .. } | CallError::Unknown { .. }) => Outcome::Failure,
        };
        let now = Instant::now();
        let mut state = self.state();
        let opened = state.breaker.record(outcome, now);
        // At least the first opening's length; the next refusal tells exactly.
        state.refused_until = if state.breaker.is_open() { now + self.config.breaker.open_for } else { now };
        drop(state);
        if opened {
            tracing::warn!(dependency = "psp", "circuit breaker opened");
            metrics::counter!("breaker_opened_total", "dependency" => "psp").increment(1);
        }
    }

    /// How long to wait before the next try of a call that never left; `None` when there must be none.
    pub(super) fn wait_before_retry(&self, error: &CallError, tries: u32) -> Option<Duration> {
        let never_left = matches!(error, CallError::NotReached { .. });
        if !never_left || tries >= self.config.tries_max || !self.is_closed() {
            return None;
        }
        self.state().budget.withdraw(Instant::now()).then(|| self.config.backoff.delay_now(tries))
    }

    /// Whether a call made now would be let through, as far as is known.
    pub(super) fn is_closed(&self) -> bool {
        self.state().refused_until <= Instant::now()
    }

    /// Held for a few arithmetic operations, never across an await. A poisoned one still holds numbers.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
