//! Circuit breaker: stops calling a dependency that keeps failing, and asks it now and then whether it is back.
//!
//! Pure: it is told the time. Closed lets calls pass and counts failures in a window. Open refuses them, for longer each
//! time. Half-open lets one probe pass at a time: its success closes the breaker, its failure opens it again.
//!
//! Source: Nygard, "Release It!", 2007, "Circuit Breaker".

use std::time::{Duration, Instant};

/// When to stop calling.
#[derive(Debug, Clone, Copy)]
pub struct BreakerConfig {
    /// Failures are counted in windows of this length.
    pub window: Duration,
    /// Calls a window must have seen before it may open the breaker: two failures out of two prove nothing.
    pub calls_min: u32,
    /// Failed calls, in percent of the window's, that open it.
    pub failures_percent: u32,
    /// How long the first opening lasts; each failed probe doubles it.
    pub open_for: Duration,
    /// The longest opening.
    pub open_for_max: Duration,
}

impl Default for BreakerConfig {
    /// Opens at half of at least 20 calls in 5 s; asks again after 250 ms, at the latest every 5 s.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(5),
            calls_min: 20,
            failures_percent: 50,
            open_for: Duration::from_millis(250),
            open_for_max: Duration::from_secs(5),
        }
    }
}

/// How a call ended, as far as the dependency's health goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, be it with a refusal.
    Success,
    /// It did not answer in time or said that it cannot.
    Failure,
}

/// The breaker is open; nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("circuit breaker is open")]
pub struct Open {
    /// When a probe will be let through, from now.
    pub retry_after: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed {
        since: Instant,
        calls: u32,
        failures: u32,
    },
    Open {
        until: Instant,
        open_for: Duration,
    },
    /// `probe_lost_at`: a probe whose caller went away never reports; after this another may go.
    HalfOpen {
        probe_lost_at: Instant,
        open_for: Duration,
    },
}

/// The breaker of one dependency.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(config: BreakerConfig, now: Instant) -> Self {
        Self { config, state: State::Closed { since: now, calls: 0, failures: 0 } }
    }

    /// Asks to make a call at `now`.
    ///
    /// # Errors
    /// [`Open`] when the call must not be made.
    pub fn acquire(&mut self, now: Instant) -> Result<(), Open> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } if now < until => Err(Open { retry_after: until - now }),
            State::Open { open_for, .. } => {
                self.state = State::HalfOpen { probe_lost_at: now + self.config.window, open_for };
                Ok(())
            }
            State::HalfOpen { probe_lost_at, .. } if now < probe_lost_at => {
                Err(Open { retry_after: self.config.open_for.min(probe_lost_at - now) })
            }
            State::HalfOpen { open_for, .. } => {
                self.state = State::HalfOpen { probe_lost_at: now + self.config.window, open_for };
                Ok(())
            }
        }
    }

    /// Records how a call ended. Returns whether this opened the breaker, for the first time or again after a failed probe.
    pub fn record(&mut self, outcome: Outcome, now: Instant) -> bool {
        match (self.state, outcome) {
            (State::Closed { since, calls, failures }, outcome) => self.count(since, calls, failures, outcome, now),
            // Calls that began before it opened say nothing new.
            (State::Open { .. }, _) => false,
            (State::HalfOpen { .. }, Outcome::Success) => {
                self.state = State::Closed { since: now, calls: 0, failures: 0 };
                false
            }
            (State::HalfOpen { open_for, .. }, Outcome::Failure) => {
                let open_for = open_for.saturating_mul(2).min(self.config.open_for_max);
                self.state = State::Open { until: now + open_for, open_for };
                true
            }
        }
    }

    /// Whether calls are being refused.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    fn count(&mut self, since: Instant, calls: u32, failures: u32, outcome: Outcome, now: Instant) -> bool {
        let fresh = now.saturating_duration_since(since) >= self.config.window;
        let (since, calls, failures) = if fresh { (now, 0, 0) } else { (since, calls, failures) };
        let calls = calls.saturating_add(1);
        let failures = failures.saturating_add(u32::from(outcome == Outcome::Failure));
        let opens = outcome == Outcome::Failure
            && calls >= self.config.calls_min
            && u64::from(failures) * 100 >= u64::from(calls) * u64::from(self.config.failures_percent);
        self.state = if opens {
            State::Open { until: now + self.config.open_for, open_for: self.config.open_for }
        } else {
            State::Closed { since, calls, failures }
        };
        opens
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
