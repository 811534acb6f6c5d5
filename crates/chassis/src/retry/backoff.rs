//! Exponential backoff with full jitter.

use std::time::Duration;

/// Waits between tries: uniform between nothing and an exponentially growing, bounded ceiling.
///
/// Full jitter spreads clients that failed together evenly over the window; equal steps would bring them back together.
///
/// Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Ceiling of the first wait.
    pub base: Duration,
    /// Ceiling of every wait.
    pub max: Duration,
}

impl Backoff {
    /// Waits that start below `base` and never exceed `max`.
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The longest wait after `failures` failures in a row (1 or more).
    pub fn ceiling(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.max)
    }

    /// The wait after `failures` failures in a row; `random` is uniform in 0..1.
    pub fn delay(&self, failures: u32, random: f64) -> Duration {
        self.ceiling(failures).mul_f64(random.clamp(0.0, 1.0))
    }

    /// [`Backoff::delay`] with this thread's randomness.
    pub fn delay_now(&self, failures: u32) -> Duration {
        self.delay(failures, rand::random())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));

    #[test]
    fn ceiling_doubles_up_to_the_bound() {
        let ceilings = [1, 2, 3, 7, 8, 1_000, u32::MAX].map(|failures| BACKOFF.ceiling(failures).as_millis());
        assert_eq!(ceilings, [10, 20, 40, 640, 1_000, 1_000, 1_000]);
    }

    proptest! {
        #[test]
        fn prop_delay_stays_within_the_ceiling(failures in any::<u32>(), random in 0.0..1.0) {
            prop_assert!(BACKOFF.delay(failures, random) <= BACKOFF.ceiling(failures));
        }
    }
}
