//! Looking for the highest good rate: double until one is bad, then halve the gap. Pure.

/// First rate tried, per second.
const FIRST: u32 = 20;
/// No rate above this is tried: far more than two cores can do.
const HIGHEST: u32 = 10_000;
/// The search ends when good and bad are this close: a twentieth.
const CLOSE_ENOUGH: u32 = 20;

/// What is known so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Search {
    good: Option<u32>,
    bad: Option<u32>,
}

impl Search {
    /// The rate to try next; `None` when the answer is known well enough.
    pub fn next(&self) -> Option<u32> {
        match (self.good, self.bad) {
            (None, None) => Some(FIRST),
            (Some(good), None) => (good < HIGHEST).then(|| (good * 2).min(HIGHEST)),
            (None, Some(bad)) => (bad > 1).then_some(bad / 2),
            (Some(good), Some(bad)) => (bad - good > (bad / CLOSE_ENOUGH).max(1)).then_some(good + (bad - good) / 2),
        }
    }

    /// Learns how `rate` did. A rate below a bad one can be bad too, by bad luck; then the search goes on below it.
    pub fn learn(&mut self, rate: u32, is_good: bool) {
        if is_good {
            self.good = Some(self.good.map_or(rate, |good| good.max(rate)));
        } else {
            self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
            self.good = self.good.filter(|good| *good < rate);
        }
    }

    /// The highest rate that was good.
    pub const fn highest_good(&self) -> Option<u32> {
        self.good
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(limit: u32) -> (Option<u32>, u32) {
        let (mut search, mut steps) = (Search::default(), 0);
        while let Some(rate) = search.next() {
            search.learn(rate, rate <= limit);
            steps += 1;
        }
        (search.highest_good(), steps)
    }

    #[test]
    fn a_system_that_can_do_nothing_has_no_rate() {
        assert_eq!(search(0).0, None);
    }

    proptest! {
        #[test]
        fn prop_the_answer_is_within_a_twentieth_and_soon_found(limit in 1..=HIGHEST) {
            let (found, steps) = search(limit);
            let found = found.unwrap_or_default();
            prop_assert!(found <= limit);
            prop_assert!(limit - found <= (limit / 10).max(1), "found {found} for {limit}");
            prop_assert!(steps <= 20, "{steps} steps");
        }
    }
}
