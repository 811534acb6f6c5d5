//! Whether a worker gets anywhere, and what its service says when it does not.

use std::time::Duration;

use tokio::time::Instant;

use crate::conditions;

/// A worker that has failed again and again for longer than this is said aloud. A leader election or the restart of a database is over
/// by then.
const PATIENCE: Duration = Duration::from_secs(20);
/// And not before it has failed so often: two failures may lie far apart and have nothing to do with each other.
const FAILURES_SAID: u32 = 3;

/// How one worker has fared lately.
pub(super) struct Standing {
    part: String,
    /// In a row.
    failures: u32,
    /// When the first of them was.
    since: Option<Instant>,
}

impl Standing {
    /// A worker that begins: nothing is known against it.
    pub(super) fn new(worker: &str) -> Self {
        let mut standing = Self { part: part(worker), failures: 0, since: None };
        standing.well();
        standing
    }

    /// It has run for so long that its next failure counts as the first.
    pub(super) fn well(&mut self) {
        (self.failures, self.since) = (0, None);
        conditions::clear(&self.part);
    }

    /// It has ended once more, for this reason. Returns how often in a row.
    pub(super) fn failed(&mut self, why: &str, now: Instant) -> u32 {
        self.failures = self.failures.saturating_add(1);
        let since = *self.since.get_or_insert(now);
        let lasted = now.saturating_duration_since(since);
        if self.failures >= FAILURES_SAID && lasted >= PATIENCE {
            let (failures, seconds) = (self.failures, lasted.as_secs());
            conditions::report(&self.part, &format!("failed {failures} times in {seconds} s, last: {why}"));
        }
        self.failures
    }
}

/// The name of a worker's condition: `worker/refunds`.
fn part(worker: &str) -> String {
    format!("worker/{worker}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_fails_for_long_says_why_until_it_is_well() {
        let (mut standing, start) = (Standing::new("slow"), Instant::now());
        let told = || conditions::of("worker/slow");
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(standing.failed("first", at(0)), 1);
        assert_eq!(standing.failed("second", at(30)), 2);
        assert_eq!(told(), None, "two failures");
        assert_eq!(standing.failed("no database", at(60)), 3);
        assert_eq!(told().unwrap(), "failed 3 times in 60 s, last: no database");
        standing.well();
        assert_eq!(told(), None);
        assert_eq!(standing.failed("later", at(90)), 1, "it counts as the first");
    }

    #[test]
    fn a_hiccup_is_not_worth_a_word() {
        let (mut standing, start) = (Standing::new("quick"), Instant::now());
        for tenth in 0..19 {
            standing.failed("restarting", start + Duration::from_secs(tenth));
        }
        assert_eq!(conditions::of("worker/quick"), None);
    }
}
