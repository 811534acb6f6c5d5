//! A bound on retries, so that they cannot turn a slow dependency into a dead one.

use std::time::{Duration, Instant};

/// How many retries a client may add to its load.
#[derive(Debug, Clone, Copy)]
pub struct BudgetConfig {
    /// Retries allowed per hundred calls.
    pub retries_per_hundred_calls: u32,
    /// Retries a second that are allowed whatever the traffic, so that a quiet client may retry too.
    pub retries_per_second_min: u32,
    /// Unspent retries that may be saved up for a burst.
    pub retries_saved_max: u32,
}

impl Default for BudgetConfig {
    /// A tenth of the traffic, or 5 a second; a restart of a dependency at 1,000 calls a second costs at most 100 at once.
    fn default() -> Self {
        Self { retries_per_hundred_calls: 10, retries_per_second_min: 5, retries_saved_max: 100 }
    }
}

/// A retry costs a hundred; a call earns `retries_per_hundred_calls`.
const RETRY_COST: u64 = 100;

/// A token bucket that calls fill and retries drain.
///
/// Invariant: in any span of time, retries ≤ saved + calls × ratio + seconds × floor.
///
/// Source: "Handling Overload", Site Reliability Engineering, 2016; Finagle's `RetryBudget`.
#[derive(Debug)]
pub struct Budget {
    config: BudgetConfig,
    balance: u64,
    refilled_at: Instant,
}

impl Budget {
    /// A budget that is full at `now`.
    pub fn new(config: BudgetConfig, now: Instant) -> Self {
        Self { config, balance: u64::from(config.retries_saved_max) * RETRY_COST, refilled_at: now }
    }

    /// Records a first try.
    pub fn deposit(&mut self, now: Instant) {
        self.refill(now);
        self.add(u64::from(self.config.retries_per_hundred_calls));
    }

    /// Takes one retry out; `false` when there is none left, and the call must fail with what it has.
    pub fn withdraw(&mut self, now: Instant) -> bool {
        self.refill(now);
        match self.balance.checked_sub(RETRY_COST) {
            Some(rest) => {
                self.balance = rest;
                true
            }
            None => false,
        }
    }

    fn refill(&mut self, now: Instant) {
        let earned_per_second = u64::from(self.config.retries_per_second_min) * RETRY_COST;
        let elapsed = now.saturating_duration_since(self.refilled_at);
        let earned = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).saturating_mul(earned_per_second) / 1_000;
        // Time too short to earn anything stays uncounted, so that many short steps earn as much as a long one.
        if earned > 0 {
            self.add(earned);
            let spent_ms = earned.saturating_mul(1_000) / earned_per_second.max(1);
            self.refilled_at = self.refilled_at.checked_add(Duration::from_millis(spent_ms)).unwrap_or(now).min(now);
        }
    }

    fn add(&mut self, earned: u64) {
        let full = u64::from(self.config.retries_saved_max) * RETRY_COST;
        self.balance = self.balance.saturating_add(earned).min(full);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(ratio: u32, floor: u32, saved: u32) -> BudgetConfig {
        BudgetConfig { retries_per_hundred_calls: ratio, retries_per_second_min: floor, retries_saved_max: saved }
    }

    #[test]
    fn ten_calls_earn_one_retry_at_ten_percent() {
        let now = Instant::now();
        let mut budget = Budget::new(config(10, 0, 1), now);
        assert!(budget.withdraw(now));
        for _ in 0..9 {
            budget.deposit(now);
        }
        assert!(!budget.withdraw(now));
        budget.deposit(now);
        assert!(budget.withdraw(now));
    }

    proptest! {
        #[test]
        fn prop_retries_never_exceed_the_budget(steps in prop::collection::vec((0_u64..50, any::<bool>()), 0..500)) {
            let start = Instant::now();
            let mut now = start;
            let mut budget = Budget::new(config(20, 5, 3), start);
            let (mut calls, mut retries) = (0_u64, 0_u64);
            for (pause_ms, is_call) in steps {
                now += Duration::from_millis(pause_ms);
                if is_call {
                    budget.deposit(now);
                    calls += 1;
                } else if budget.withdraw(now) {
                    retries += 1;
                }
            }
            let elapsed_ms = u64::try_from((now - start).as_millis()).unwrap_or(u64::MAX);
            prop_assert!(retries * 1_000 <= 3 * 1_000 + calls * 200 + elapsed_ms * 5);
        }
    }
}
