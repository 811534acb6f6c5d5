//! Rows that are published and cannot be removed yet, because somebody holds them.
//!
//! They are not published again: it is remembered that the broker has them, and they are removed once they can be. Until then their
//! aggregates wait, so that an aggregate's rows move on to the peer's table in their order; everybody else's events pass. What is remembered is
//! an optimisation: who forgets it, by a crash, publishes these rows again under the same ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chassis::conditions;
use tokio::time::Instant;
use uuid::Uuid;

/// Between two tries. One is a statement, which waits for no row.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Rows remembered before nothing more is published: ten rounds. So many only a lock of the whole table holds.
const ROWS_MAX: usize = 2_560;
/// What is held for longer is said aloud.
const PATIENCE: Duration = Duration::from_secs(20);

/// The rows, and when they are tried next.
pub(super) struct Unremoved {
    part: String,
    /// Row and aggregate.
    rows: BTreeMap<Uuid, String>,
    /// Since when there are any.
    since: Instant,
    due: Instant,
}

impl Unremoved {
    /// None yet.
    pub(super) fn new(lane: &str) -> Self {
        let now = Instant::now();
        Self { part: format!("relay/{lane}/removal"), rows: BTreeMap::new(), since: now, due: now }
    }

    /// These were acknowledged, and their removal was refused. They are tried again at once, one by one.
    pub(super) fn add(&mut self, rows: impl IntoIterator<Item = (Uuid, String)>, now: Instant) {
        if self.rows.is_empty() {
            self.since = now;
        }
        self.rows.extend(rows);
        self.due = now;
    }

    /// The rows that are to be tried now.
    pub(super) fn due(&self, now: Instant) -> Vec<Uuid> {
        if now < self.due { Vec::new() } else { self.rows.keys().copied().collect() }
    }

    /// They were tried, and these are left; none when nothing could be tried.
    pub(super) fn tried(&mut self, left: Option<Vec<Uuid>>, now: Instant) {
        if let Some(left) = left {
            let left: BTreeSet<_> = left.into_iter().collect();
            self.rows.retain(|id, _| left.contains(id));
        }
        self.due = now + TRY_AGAIN_AFTER;
        if self.rows.is_empty() {
            conditions::clear(&self.part);
        } else if now.saturating_duration_since(self.since) >= PATIENCE {
            let rows = self.rows.len();
            let why = format!(
                "{rows} published events cannot be removed, their aggregates wait: somebody holds their rows (pg_locks, pg_stat_activity)"
            );
            conditions::report(&self.part, &why);
        }
    }

    /// Aggregates that wait.
    pub(super) fn aggregates(&self) -> impl Iterator<Item = &String> {
        self.rows.values()
    }

    /// When the rows are to be tried next, if there are any.
    pub(super) fn next_due(&self) -> Option<Instant> {
        (!self.rows.is_empty()).then_some(self.due)
    }

    /// No more may be published.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(aggregates: &[&str]) -> Vec<(Uuid, String)> {
        aggregates.iter().map(|aggregate| (Uuid::now_v7(), (*aggregate).to_owned())).collect()
    }

    #[test]
    fn what_is_held_is_tried_now_and_then_and_holds_its_aggregate_until_it_is_gone() {
        let (mut unremoved, now) = (Unremoved::new("test"), Instant::now());
        let rows = rows(&["a", "b"]);
        unremoved.add(rows.clone(), now);
        assert_eq!(unremoved.due(now).len(), 2);
        unremoved.tried(Some(vec![rows[0].0]), now);
        assert_eq!(unremoved.aggregates().collect::<Vec<_>>(), ["a"]);
        assert!(unremoved.due(now).is_empty(), "it was just tried");
        assert_eq!(unremoved.due(now + TRY_AGAIN_AFTER), [rows[0].0]);
        unremoved.tried(None, now + PATIENCE);
        assert!(conditions::of("relay/test/removal").unwrap().starts_with("1 published"));
        // Gone, by whomever.
        unremoved.tried(Some(Vec::new()), now + PATIENCE);
        assert_eq!((unremoved.next_due(), conditions::of("relay/test/removal")), (None, None));
    }

    #[test]
    fn a_table_that_is_held_whole_is_not_remembered_without_bound() {
        let (mut unremoved, now) = (Unremoved::new("full"), Instant::now());
        unremoved.add(rows(&["a"; ROWS_MAX - 1]), now);
        assert!(!unremoved.is_full());
        unremoved.add(rows(&["b"]), now);
        assert!(unremoved.is_full());
    }
}
