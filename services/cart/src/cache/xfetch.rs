//! When to load a value again before it expires. Pure.
//!
//! A value that many read must not expire for all of them at once. Each reader throws a die that gets likelier to say "refresh" the nearer
//! the expiry and the longer a load takes, so that most often one of them refreshes shortly before it would be needed.
//!
//! Source: Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015, algorithm XFetch:
//! refresh if `now - delta * beta * ln(random) >= expiry`.

use std::time::Duration;

/// The paper shows 1 to be optimal when the gaps between reads are unknown; more refreshes earlier.
pub(super) const BETA: f64 = 1.0;

/// Whether this reader should load the value again.
///
/// `remaining`: time to the expiry, by the cache's own clock. It stands for the paper's `expiry - now`, so that no two clocks need to agree.
/// `load_time`: how long the last load took. `draw`: uniform in (0, 1].
pub(super) fn refreshes_early(remaining: Duration, load_time: Duration, beta: f64, draw: f64) -> bool {
    let ahead = load_time.as_secs_f64() * beta * -draw.ln();
    ahead >= remaining.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn duration() -> impl Strategy<Value = Duration> {
        (0_u64..10_000_000).prop_map(Duration::from_micros)
    }

    /// Uniform in (0, 1].
    fn draw() -> impl Strategy<Value = f64> {
        (1_u32..=1_000_000).prop_map(|millionths| f64::from(millionths) / 1e6)
    }

    proptest! {
        #[test]
        fn prop_an_expired_value_is_always_refreshed(load_time in duration(), draw in draw()) {
            prop_assert!(refreshes_early(Duration::ZERO, load_time, BETA, draw));
        }

        #[test]
        fn prop_nearer_expiry_slower_load_and_larger_beta_only_make_it_likelier(
            remaining in duration(), less in duration(), load_time in duration(), more in duration(), draw in draw(),
            beta in 0.1_f64..10.0, greater in 0.0_f64..10.0,
        ) {
            if refreshes_early(remaining, load_time, beta, draw) {
                prop_assert!(refreshes_early(remaining.saturating_sub(less), load_time, beta, draw));
                prop_assert!(refreshes_early(remaining, load_time + more, beta, draw));
                prop_assert!(refreshes_early(remaining, load_time, beta + greater, draw));
            }
        }

        #[test]
        fn prop_the_unluckiest_draw_waits_for_the_expiry(remaining in duration(), load_time in duration()) {
            prop_assert_eq!(refreshes_early(remaining, load_time, BETA, 1.0), remaining.is_zero());
        }

        /// The gap before the expiry at which a reader refreshes is exponentially distributed with mean beta * load_time.
        #[test]
        fn prop_the_share_of_readers_that_refresh_is_exponential(remaining in 1_u64..50, load_time in 1_u64..20) {
            const DRAWS: u32 = 10_000;
            let (remaining, load_time) = (Duration::from_millis(remaining), Duration::from_millis(load_time));
            let draws = (1..=DRAWS).map(|draw| f64::from(draw) / f64::from(DRAWS));
            let refreshing = draws.filter(|draw| refreshes_early(remaining, load_time, BETA, *draw)).count();
            let expected = (-remaining.as_secs_f64() / load_time.as_secs_f64()).exp();
            #[allow(clippy::cast_precision_loss, reason = "a count of at most 10,000")]
            let share = refreshing as f64 / f64::from(DRAWS);
            prop_assert!((share - expected).abs() < 2.0 / f64::from(DRAWS), "{share} instead of {expected}");
        }
    }
}
