//! What one direction of the link is like.

use std::time::{Duration, Instant};

/// One way's delay unless told otherwise: half of 80 ms, about a round trip across a continent.
pub const DELAY_DEFAULT: Duration = Duration::from_millis(40);
/// Longest delay and jitter, each: a geostationary satellite takes 300 ms one way.
pub const DELAY_MAX: Duration = Duration::from_secs(10);
/// Most loss, and most reordering. With more, TCP makes no progress that one could test with: cut the link instead.
pub const PROBABILITY_MAX: f64 = 0.5;
/// Narrowest link, in bits per second: a full segment then takes 0.2 s.
pub const BANDWIDTH_MIN: u64 = 64_000;
/// Widest that makes a difference: one process forwards some Gbit/s at best.
pub const BANDWIDTH_MAX: u64 = 100_000_000_000;

/// What one direction of the link is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Properties {
    /// How long a byte travels.
    pub delay: Duration,
    /// … and up to this much longer, evenly spread.
    pub jitter: Duration,
    /// Probability that a segment is lost, 0 to [`PROBABILITY_MAX`].
    pub loss: f64,
    /// Probability that a segment takes a detour of half the delay, 0 to [`PROBABILITY_MAX`].
    pub reorder: f64,
    /// Bits per second of payload; `None` is as fast as it goes.
    pub bandwidth: Option<u64>,
    /// Nothing passes, since and until when.
    pub cut: Option<Cut>,
}

/// A cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Since when nothing passes.
    pub since: Instant,
    /// When it heals by itself; `None` on command only.
    pub heals_at: Option<Instant>,
}

/// A property is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// `delay` or `jitter`.
    #[error("delay and jitter are at most {DELAY_MAX:?} one way")]
    Delay,
    /// `loss` or `reorder`.
    #[error("loss and reorder are probabilities from 0 to {PROBABILITY_MAX}; to lose everything, cut the link")]
    Probability,
    /// `bandwidth`.
    #[error("bandwidth is {BANDWIDTH_MIN} to {BANDWIDTH_MAX} bits per second, or 0 for no limit")]
    Bandwidth,
}

impl Default for Properties {
    /// A good line across a continent.
    fn default() -> Self {
        Self { delay: DELAY_DEFAULT, jitter: Duration::ZERO, loss: 0.0, reorder: 0.0, bandwidth: None, cut: None }
    }
}

impl Properties {
    /// Checks every range.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), OutOfRange> {
        // Written so that NaN is refused too.
        let probable = |probability: f64| (0.0..=PROBABILITY_MAX).contains(&probability);
        if self.delay > DELAY_MAX || self.jitter > DELAY_MAX {
            return Err(OutOfRange::Delay);
        }
        if !probable(self.loss) || !probable(self.reorder) {
            return Err(OutOfRange::Probability);
        }
        match self.bandwidth {
            Some(bandwidth) if !(BANDWIDTH_MIN..=BANDWIDTH_MAX).contains(&bandwidth) => Err(OutOfRange::Bandwidth),
            _ => Ok(()),
        }
    }

    /// Whether bytes pass.
    pub const fn is_open(&self) -> bool {
        self.cut.is_none()
    }

    /// How long a segment's detour takes.
    pub fn detour(&self) -> Duration {
        self.delay / 2
    }
}
