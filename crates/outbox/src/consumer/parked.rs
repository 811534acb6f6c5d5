//! Records that have to wait, and those of the same key behind them. Everything else goes on.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::batch::{Item, Key};

/// No more records are taken while so many wait, or so many bytes: then the consumer stands still, and says so. An hour of a
/// thousand orders a second that all have another key behind one lock does not occur; a table that somebody locks whole does.
const RECORDS_MAX: usize = 2_000;
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// The records of a key, the first of which could not be settled.
pub(super) struct Waiting {
    pub(super) items: VecDeque<Item>,
    /// Tries of the first one that count against it.
    pub(super) tries: u32,
    /// Tries in all.
    pub(super) waits: u32,
    /// Since when the first one waits.
    pub(super) since: Instant,
    /// When it is tried again.
    pub(super) due: Instant,
    /// Why it waits.
    pub(super) reason: String,
}

/// All that waits, by key.
#[derive(Default)]
pub(super) struct Parked(BTreeMap<Key, Waiting>);

impl Parked {
    /// Adds the record behind those of its key that wait. Gives it back when none does.
    pub(super) fn behind(&mut self, item: Item) -> Option<Item> {
        match self.0.get_mut(&item.key()) {
            Some(waiting) => {
                waiting.items.push_back(item);
                None
            }
            None => Some(item),
        }
    }

    /// The key waits.
    pub(super) fn park(&mut self, key: Key, waiting: Waiting) {
        self.0.insert(key, waiting);
    }

    /// The key whose time came first, if its time has come. It is not parked any more.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Key, Waiting)> {
        let (key, waiting) = self.0.iter().min_by_key(|(_, waiting)| waiting.due)?;
        if waiting.due > now {
            return None;
        }
        let key = key.clone();
        self.0.remove_entry(&key)
    }

    /// When the next key is to be tried.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|waiting| waiting.due).min()
    }

    /// The key that has waited longest.
    pub(super) fn oldest(&self) -> Option<&Waiting> {
        self.0.values().min_by_key(|waiting| waiting.since)
    }

    /// Drops what waits of a partition that came, went or begins anew: it is delivered again, here or to another member.
    pub(super) fn forget(&mut self, topic: &str, partition: i32) {
        self.0.retain(|key, _| key.topic != topic || key.partition != partition);
    }

    /// How many keys wait.
    pub(super) fn keys(&self) -> usize {
        self.0.len()
    }

    /// How many records wait.
    pub(super) fn records(&self) -> usize {
        self.0.values().map(|waiting| waiting.items.len()).sum()
    }

    /// No more may be taken.
    pub(super) fn is_full(&self) -> bool {
        let bytes = || -> usize { self.0.values().flat_map(|waiting| &waiting.items).map(Item::payload_bytes).sum() };
        !self.0.is_empty() && (self.records() >= RECORDS_MAX || bytes() >= BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::batch::tests::item;
    use super::*;

    fn waiting(item: Item, due: Instant) -> Waiting {
        Waiting { items: [item].into(), tries: 0, waits: 1, since: due, due, reason: String::new() }
    }

    #[test]
    fn only_the_records_of_a_key_that_waits_wait_behind_it() {
        let (mut parked, now) = (Parked::default(), Instant::now());
        parked.park(item("a", 1).key(), waiting(item("a", 1), now));
        assert!(parked.behind(item("a", 2)).is_none());
        assert!(parked.behind(item("b", 3)).is_some());
        assert_eq!((parked.keys(), parked.records()), (1, 2));
        let (_, waiting) = parked.take_due(now).unwrap();
        assert_eq!(waiting.items.iter().map(|item| item.delivered.offset).collect::<Vec<_>>(), [1, 2]);
        assert!(parked.behind(item("a", 4)).is_some());
    }

    #[test]
    fn keys_are_tried_in_the_order_in_which_they_are_due_and_not_before() {
        let (mut parked, now) = (Parked::default(), Instant::now());
        parked.park(item("a", 1).key(), waiting(item("a", 1), now + Duration::from_secs(2)));
        parked.park(item("b", 2).key(), waiting(item("b", 2), now + Duration::from_secs(1)));
        assert!(parked.take_due(now).is_none());
        let (first, _) = parked.take_due(now + Duration::from_secs(3)).unwrap();
        assert_eq!(first, item("b", 2).key());
    }

    #[test]
    fn no_more_is_taken_when_too_much_waits_and_a_partition_that_moved_waits_elsewhere() {
        let (mut parked, now) = (Parked::default(), Instant::now());
        assert!(!parked.is_full());
        parked.park(item("a", 0).key(), waiting(item("a", 0), now));
        for offset in 1..RECORDS_MAX {
            assert!(parked.behind(item("a", offset as i64)).is_none());
        }
        assert!(parked.is_full());
        parked.forget("t", 0);
        assert_eq!(parked.keys(), 0);
    }
}
