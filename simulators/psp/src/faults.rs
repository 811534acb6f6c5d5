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
/// Probabilities are 0 to 1. They apply to payments and refunds, read or written; never to the ledger, which is the witness. What
/// really came of them is counted: [`crate::counts`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Every answer is late by this much.
    pub latency_ms: u64,
    /// … and by up to this much more.
    pub jitter_ms: u64,
    /// Does the work and answers, but only after `slow_ms`.
    pub slow: f64,
    /// How slow that is.
    pub slow_ms: u64,
    /// Does the work, then falls silent.
    pub timeout_after_work: f64,
    /// Falls silent and does nothing.
    pub timeout_before_work: f64,
    /// Falls silent and does the work only after `straggler_ms`: when the caller has given up, asked, and heard of nothing.
    pub straggler: f64,
    /// How late that is.
    pub straggler_ms: u64,
    /// How long a silent request is held before a 504.
    pub timeout_hold_ms: u64,
    /// Answers 500; whether the work was done is a coin toss, as with any real 500.
    pub server_error: f64,
    /// Declines a good card.
    pub decline: f64,
    /// Takes only a part of what is to be captured, and says so nowhere but in `amount_captured`.
    pub partial_capture: f64,
    /// Delivers a webhook twice.
    pub duplicate_webhook: f64,
    /// Holds a webhook back until a later one of the same payment was delivered, at most 10 s.
    pub reorder_webhook: f64,
    /// Each webhook is late by up to this much, each by its own, so they arrive out of order.
    pub webhook_delay_ms: u64,
    /// Beside a webhook comes its twin with a signature under another secret.
    pub forged_signature: f64,
    /// Beside a webhook comes one, well signed, that claims another state and a made-up amount for the same payment.
    pub forged_content: f64,
    /// Beside a webhook comes its twin as it would have been sent an hour ago: well signed, but with the time of then.
    pub replayed_webhook: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            jitter_ms: 0,
            slow: 0.0,
            slow_ms: 1_000,
            timeout_after_work: 0.0,
            timeout_before_work: 0.0,
            straggler: 0.0,
            straggler_ms: 3_000,
            timeout_hold_ms: 30_000,
            server_error: 0.0,
            decline: 0.0,
            partial_capture: 0.0,
            duplicate_webhook: 0.0,
            reorder_webhook: 0.0,
            webhook_delay_ms: 0,
            forged_signature: 0.0,
            forged_content: 0.0,
            replayed_webhook: 0.0,
        }
    }
}

impl Faults {
    /// The name of the first field out of range, if any.
    pub fn invalid_field(&self) -> Option<&'static str> {
        let probabilities = [
            ("slow", self.slow),
            ("timeout_after_work", self.timeout_after_work),
            ("timeout_before_work", self.timeout_before_work),
            ("straggler", self.straggler),
            ("server_error", self.server_error),
            ("decline", self.decline),
            ("partial_capture", self.partial_capture),
            ("duplicate_webhook", self.duplicate_webhook),
            ("reorder_webhook", self.reorder_webhook),
            ("forged_signature", self.forged_signature),
            ("forged_content", self.forged_content),
            ("replayed_webhook", self.replayed_webhook),
        ];
        let delays = [
            ("latency_ms", self.latency_ms),
            ("jitter_ms", self.jitter_ms),
            ("slow_ms", self.slow_ms),
            ("straggler_ms", self.straggler_ms),
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
    /// It is answered after this long.
    Slow(Duration),
    /// Silence, and nothing was done.
    SilentBeforeWork,
    /// Silence, though the work was done.
    SilentAfterWork,
    /// Silence, and the work is done after this long.
    Straggler(Duration),
    /// 500, and nothing was done.
    ErrorBeforeWork,
    /// 500, though the work was done.
    ErrorAfterWork,
}

/// What the provider makes up about the work itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whim {
    /// The card says no, whatever card it is.
    pub declines: bool,
    /// So many thousandths of a capture are taken, 1 to 999; all of it when absent.
    pub captures_thousandths: Option<u16>,
}

/// How one webhook is delivered, and what comes beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// How long to wait first.
    pub delay: Duration,
    /// Whether to send it once more.
    pub twice: bool,
    /// Whether to let a later one of the same payment pass first.
    pub after_a_later_one: bool,
    /// A twin with a wrong signature.
    pub forged_signature: bool,
    /// A lie with a good signature.
    pub forged_content: bool,
    /// A twin from an hour ago.
    pub replayed: bool,
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
            } else if hit(dice, faults.straggler) {
                Fate::Straggler(Duration::from_millis(faults.straggler_ms))
            } else if hit(dice, faults.server_error) {
                if dice.random() { Fate::ErrorBeforeWork } else { Fate::ErrorAfterWork }
            } else if hit(dice, faults.slow) {
                Fate::Slow(Duration::from_millis(faults.slow_ms))
            } else {
                Fate::Answered
            };
            let delay = Duration::from_millis(faults.latency_ms + jitter_ms);
            (delay, fate, Duration::from_millis(faults.timeout_hold_ms))
        })
    }

    /// Draws what one call comes to, should it be new.
    pub fn draw_whim(&self) -> Whim {
        self.with(|faults, dice| Whim {
            declines: hit(dice, faults.decline),
            captures_thousandths: hit(dice, faults.partial_capture).then(|| dice.random_range(1..1_000)),
        })
    }

    /// Draws how one webhook is delivered.
    pub fn draw_delivery(&self) -> Delivery {
        self.with(|faults, dice| {
            let delay_ms = if faults.webhook_delay_ms > 0 { dice.random_range(0..=faults.webhook_delay_ms) } else { 0 };
            Delivery {
                delay: Duration::from_millis(delay_ms),
                twice: hit(dice, faults.duplicate_webhook),
                after_a_later_one: hit(dice, faults.reorder_webhook),
                forged_signature: hit(dice, faults.forged_signature),
                forged_content: hit(dice, faults.forged_content),
                replayed: hit(dice, faults.replayed_webhook),
            }
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
            assert_eq!(panel.draw_whim(), Whim::default());
            assert_eq!(panel.draw_delivery(), Delivery::default());
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
        assert_eq!(Faults { partial_capture: -0.1, ..Faults::default() }.invalid_field(), Some("partial_capture"));
        assert_eq!(Faults { latency_ms: u64::MAX, ..Faults::default() }.invalid_field(), Some("latency_ms"));
    }
}
