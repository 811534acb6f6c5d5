//! Aggregates whose next event the broker refuses for good: too large for its topic, not allowed, invalid.
//!
//! No row is ever dropped, and the events of an aggregate are published in order. So the aggregate waits and is tried again now and
//! then, because what refuses it is settings of a topic that somebody can change; everybody else's events pass.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::conditions;
use tokio::time::Instant;

use crate::telemetry;

/// Between two tries of a refused event. Each costs a producer and a round of one row.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Aggregates held at once. Beyond it something is wrong with the topic, not with an event: the lane waits as in an outage.
pub(super) const HELD_MAX: usize = 1_000;
/// Rounds of a single row after a refusal, which find the event that was refused among its batch.
const CAREFUL_ROUNDS: u32 = 256;

/// What is held back, and how carefully the lane goes on.
pub(super) struct Refused {
    lane: &'static str,
    held: BTreeMap<String, Instant>,
    careful: u32,
}

impl Refused {
    /// Nothing is held.
    pub(super) fn new(lane: &'static str) -> Self {
        Self { lane, held: BTreeMap::new(), careful: 0 }
    }

    /// How many rows the next round may take: one while it is being found out which is refused.
    pub(super) fn rows_max(&self, usual: i64) -> i64 {
        if self.careful > 0 { 1 } else { usual }
    }

    /// Aggregates that are not to be tried now. Those whose time has come are tried again, alone.
    pub(super) fn held(&mut self, now: Instant) -> Vec<String> {
        let before = self.held.len();
        self.held.retain(|_, until| *until > now);
        if self.held.len() < before {
            self.careful = CAREFUL_ROUNDS;
        }
        self.held.keys().cloned().collect()
    }

    /// A round was acknowledged whole.
    pub(super) fn passed(&mut self) {
        self.careful = self.careful.saturating_sub(1);
    }

    /// Nothing is left to publish: the next rows may come as a batch again. Nothing held and nothing left, all is well.
    pub(super) fn drained(&mut self) {
        self.careful = 0;
        if self.held.is_empty() {
            self.show(None);
        }
    }

    /// A round was refused. `only`: the aggregate, when the round was of one row. Returns whether it is now held.
    pub(super) fn refused(&mut self, only: Option<&str>, why: &str, now: Instant) -> bool {
        let Some(aggregate) = only.filter(|_| self.held.len() < HELD_MAX) else {
            self.careful = CAREFUL_ROUNDS;
            return false;
        };
        self.held.insert(aggregate.to_owned(), now + TRY_AGAIN_AFTER);
        self.show(Some(why));
        true
    }

    fn show(&self, why: Option<&str>) {
        metrics::gauge!(telemetry::REFUSED, "lane" => self.lane).set(self.held.len() as f64);
        let part = format!("relay/{}", self.lane);
        match why {
            Some(why) => conditions::report(&part, &format!("{} aggregates wait: {why}", self.held.len())),
            None => conditions::clear(&part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refused_aggregate_is_found_alone_held_and_tried_again() {
        let (mut refused, now) = (Refused::new("test"), Instant::now());
        assert!(!refused.refused(None, "too large", now));
        assert_eq!(refused.rows_max(256), 1);
        assert!(refused.refused(Some("a"), "too large", now));
        assert_eq!(refused.held(now), ["a"]);
        refused.drained();
        assert_eq!(refused.rows_max(256), 256);
        assert!(refused.held(now + TRY_AGAIN_AFTER).is_empty());
        assert_eq!(refused.rows_max(256), 1);
    }

    #[test]
    fn a_topic_that_refuses_everything_is_not_held_without_bound() {
        let (mut refused, now) = (Refused::new("bounded"), Instant::now());
        for number in 0..HELD_MAX {
            assert!(refused.refused(Some(&number.to_string()), "not allowed", now));
        }
        assert!(!refused.refused(Some("one more"), "not allowed", now));
    }
}
