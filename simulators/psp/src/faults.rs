//! The fault panel: what a provider does to those who trust it, on command.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

/// Longest delay that can be asked for, in milliseconds.
const DELAY_MS_MAX: u64 = 600_000;

/// The settings of `GET`/`PUT /faults`; a `PUT` replaces them all and what it leaves out is off.
///
/// Probabilities are 0 to 1. They apply to payments and refunds, read or written; never to the ledger, which is the witness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer is late by this much.
    pub latency_ms: u64,
    /// … and by up to this much more.
    pub jitter_ms: u64,
    /// Does the work, then falls silent.
    pub timeout_after_work: f64,
    /// Falls silent and does nothing.
    pub timeout_before_work: f64,
    /// How long a silent request is held before a 504.
    pub timeout_hold_ms: u64,
    /// Answers 500; whether the work was done is a coin toss, as with any real 500.
    pub server_error: f64,
    /// Delivers a webhook twice.
    pub duplicate_webhook: f64,
    /// Each webhook is late by up to this much, each by its own, so they arrive out of order.
    pub webhook_delay_ms: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            jitter_ms: 0,
            timeout_after_work: 0.0,
            timeout_before_work: 0.0,
            timeout_hold_ms: 30_000,
            server_error: 0.0,
            duplicate_webhook: 0.0,
            webhook_delay_ms: 0,
        }
    }
}

impl Faults {
    /// The name of the first field out of range, if any.
    pub fn invalid_field(&self) -> Option<&'static str> {
        let probabilities = [
            ("timeout_after_work", self.timeout_after_work),
            ("timeout_before_work", self.timeout_before_work),
            ("server_error", self.server_error),
            ("duplicate_webhook", self.duplicate_webhook),
        ];
        let delays = [
            ("latency_ms", self.latency_ms),
            ("jitter_ms", self.jitter_ms),
            ("timeout_hold_ms", self.timeout_hold_ms),
            ("webhook_delay_ms", self.webhook_delay_ms),
        ];
        let improbable = probabilities.into_iter().find(|(_, p)| !(0.0..=1.0).contains(p)).map(|(name, _)| name);
        improbable.or_else(|| delays.into_iter().find(|(_, ms)| *ms > DELAY_MS_MAX).map(|(name, _)| name))
    }
}

/// What befalls one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// Silence, and nothing was done.
    SilentBeforeWork,
    /// Silence, though the work was done.
    SilentAfterWork,
    /// 500, and nothing was done.
    ErrorBeforeWork,
    /// 500, though the work was done.
    ErrorAfterWork,
}

/// How one webhook is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// How long to wait first.
    pub delay: Duration,
    /// Whether to send it once more.
    pub twice: bool,
}

/// The panel: current settings and the dice.
#[derive(Debug)]
pub struct Panel {
    inner: Mutex<(Faults, StdRng)>,
}

impl Panel {
    /// A panel with every fault off.
    pub fn new(seed: u64) -> Self {
        Self { inner: Mutex::new((Faults::default(), StdRng::seed_from_u64(seed))) }
    }

    /// The settings.
    pub fn get(&self) -> Faults {
        self.with(|faults, _| faults.clone())
    }

    /// Replaces the settings.
    pub fn set(&self, new: Faults) {
        self.with(|faults, _| *faults = new);
    }

    /// Draws one request's delay and fate, and how long silence lasts.
    pub fn draw_request(&self) -> (Duration, Fate, Duration) {
        self.with(|faults, dice| {
            let jitter_ms = if faults.jitter_ms > 0 { dice.random_range(0..=faults.jitter_ms) } else { 0 };
            let fate = if hit(dice, faults.timeout_before_work) {
                Fate::SilentBeforeWork
            } else if hit(dice, faults.timeout_after_work) {
                Fate::SilentAfterWork
            } else if hit(dice, faults.server_error) {
                if dice.random() { Fate::ErrorBeforeWork } else { Fate::ErrorAfterWork }
            } else {
                Fate::Answered
            };
            let delay = Duration::from_millis(faults.latency_ms + jitter_ms);
            (delay, fate, Duration::from_millis(faults.timeout_hold_ms))
        })
    }

    /// Draws how one webhook is delivered.
    pub fn draw_delivery(&self) -> Delivery {
        self.with(|faults, dice| {
            let delay_ms = if faults.webhook_delay_ms > 0 { dice.random_range(0..=faults.webhook_delay_ms) } else { 0 };
            Delivery { delay: Duration::from_millis(delay_ms), twice: hit(dice, faults.duplicate_webhook) }
        })
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Faults, &mut StdRng) -> T) -> T {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (faults, dice) = &mut *inner;
        use_it(faults, dice)
    }
}

/// Draws no dice when the answer is known, so that faults left off do not shift the sequence of the others.
fn hit(dice: &mut StdRng, probability: f64) -> bool {
    probability > 0.0 && dice.random_bool(probability.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_befalls_a_request_while_every_fault_is_off() {
        let panel = Panel::new(7);
        for _ in 0..100 {
            assert_eq!(panel.draw_request().1, Fate::Answered);
            assert_eq!(panel.draw_delivery(), Delivery { delay: Duration::ZERO, twice: false });
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let draw = |seed| {
            let panel = Panel::new(seed);
            panel.set(Faults { timeout_after_work: 0.3, server_error: 0.3, jitter_ms: 50, ..Faults::default() });
            (0..50).map(|_| panel.draw_request()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert_eq!(Faults::default().invalid_field(), None);
        assert_eq!(Faults { server_error: 1.5, ..Faults::default() }.invalid_field(), Some("server_error"));
        assert_eq!(Faults { server_error: f64::NAN, ..Faults::default() }.invalid_field(), Some("server_error"));
        assert_eq!(Faults { latency_ms: u64::MAX, ..Faults::default() }.invalid_field(), Some("latency_ms"));
    }
}
