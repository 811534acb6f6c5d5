//! From when on a change that was heard of can be read. Pure.
//!
//! Logical decoding hands a transaction out once its commit is in the log. That is a moment *before* other sessions see it: the committing
//! session has still to take itself off the list of running transactions, or to wait for a standby. Who rereads a cart in that
//! moment gets the old state, and would keep it: the change is not announced twice. So what is heard waits here until a snapshot
//! shows its transaction as ended.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;

use ids::CartId;

use super::pgoutput::Touched;

/// Carts named one by one. Beyond this, "any cart" is cheaper to hold and to act on: 10,000 ids are some 300 kB.
const NAMED_MAX: usize = 10_000;

/// Which carts have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Changed {
    /// These.
    Carts(HashSet<CartId>),
    /// Possibly all.
    Any,
}

impl Default for Changed {
    fn default() -> Self {
        Self::Carts(HashSet::new())
    }
}

impl Changed {
    pub(super) fn add(&mut self, touched: Touched) {
        match touched {
            Touched::Nothing => {}
            Touched::Cart(cart_id) => self.extend([cart_id]),
            Touched::Both(old, new) => self.extend([old, new]),
            Touched::Any => *self = Self::Any,
        }
    }

    fn extend(&mut self, more: impl IntoIterator<Item = CartId>) {
        let Self::Carts(carts) = self else { return };
        carts.extend(more);
        if carts.len() > NAMED_MAX {
            *self = Self::Any;
        }
    }

    fn join(&mut self, other: Self) {
        match other {
            Self::Carts(carts) => self.extend(carts),
            Self::Any => *self = Self::Any,
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Carts(carts) if carts.is_empty())
    }
}

/// Postgres' `pg_current_snapshot()`: which transactions have ended. Numbers are cut to 32 bits, as the replication protocol has them;
/// they are compared around the circle, which is right while they are less than two billion apart, as Postgres sees to itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    oldest_running: u32,
    next: u32,
    running: HashSet<u32>,
}

/// The text is not `xmin:xmax:xip,…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a snapshot of Postgres")]
pub(super) struct NotASnapshot;

impl FromStr for Snapshot {
    type Err = NotASnapshot;

    fn from_str(text: &str) -> Result<Self, NotASnapshot> {
        let number = |text: &str| {
            let whole: u64 = text.parse().map_err(|_| NotASnapshot)?;
            // The low half, on purpose.
            u32::try_from(whole & u64::from(u32::MAX)).map_err(|_| NotASnapshot)
        };
        let mut parts = text.split(':');
        let (Some(oldest), Some(next), Some(running), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotASnapshot);
        };
        let running = running.split(',').filter(|text| !text.is_empty()).map(number).collect::<Result<_, _>>()?;
        Ok(Self { oldest_running: number(oldest)?, next: number(next)?, running })
    }
}

impl Snapshot {
    /// Whether a reader with this snapshot sees what `transaction` did, given that it committed.
    pub(super) fn shows(&self, transaction: u32) -> bool {
        let precedes = |one: u32, other: u32| one.wrapping_sub(other).cast_signed() < 0;
        precedes(transaction, self.oldest_running)
            || (precedes(transaction, self.next) && !self.running.contains(&transaction))
    }

    /// The transactions that run.
    pub(super) fn running(&self) -> impl Iterator<Item = u32> {
        self.running.iter().copied()
    }
}

/// What was heard and cannot be read yet, by transaction. Bounded: a session of the database commits one transaction at a time, so there
/// are at most as many as sessions.
#[derive(Debug, Default)]
pub(super) struct Unseen(HashMap<u32, Changed>);

impl Unseen {
    /// `transaction` has committed, or will, with these changes.
    pub(super) fn heard(&mut self, transaction: u32, changed: Changed) {
        if !changed.is_nothing() {
            self.0.entry(transaction).or_default().join(changed);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out what `snapshot` shows.
    pub(super) fn shown(&mut self, snapshot: &Snapshot) -> Changed {
        let mut shown = Changed::default();
        self.0.retain(|transaction, changed| {
            let waits = !snapshot.shows(*transaction);
            if !waits {
                shown.join(std::mem::take(changed));
            }
            waits
        });
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_shows_what_has_ended() {
        let snapshot: Snapshot = "10:20:10,15".parse().unwrap();
        for (transaction, shown) in
            [(9, true), (10, false), (11, true), (15, false), (19, true), (20, false), (21, false)]
        {
            assert_eq!(snapshot.shows(transaction), shown, "{transaction}");
        }
    }

    #[test]
    fn numbers_go_around_the_circle() {
        // 2^32 - 2 to 2^32 + 5, with 2^32 + 1 running.
        let snapshot: Snapshot = "4294967294:4294967301:4294967297".parse().unwrap();
        for (transaction, shown) in
            [(u32::MAX - 2, true), (u32::MAX, true), (0, true), (1, false), (4, true), (5, false)]
        {
            assert_eq!(snapshot.shows(transaction), shown, "{transaction}");
        }
    }

    #[test]
    fn rubbish_is_no_snapshot() {
        for rubbish in ["", "1", "1:2", "1:2:3:4", "a:2:", "1:2:x", "-1:2:"] {
            assert_eq!(rubbish.parse::<Snapshot>(), Err(NotASnapshot), "{rubbish:?}");
        }
        assert!("1:1:".parse::<Snapshot>().is_ok());
    }

    #[test]
    fn a_change_waits_until_its_transaction_shows() {
        let (early, late) = (CartId::generate(), CartId::generate());
        let mut unseen = Unseen::default();
        unseen.heard(12, Changed::Carts([early].into()));
        unseen.heard(15, Changed::Carts([late].into()));
        unseen.heard(13, Changed::default());
        assert_eq!(unseen.shown(&"15:20:15".parse().unwrap()), Changed::Carts([early].into()));
        assert_eq!(unseen.shown(&"15:20:15".parse().unwrap()), Changed::default());
        assert_eq!(unseen.shown(&"20:20:".parse().unwrap()), Changed::Carts([late].into()));
        assert!(unseen.is_empty());
    }

    #[test]
    fn too_many_to_name_is_any() {
        let mut changed = Changed::default();
        for number in 0..=NAMED_MAX {
            changed.add(Touched::Cart(CartId::from_uuid(uuid::Uuid::from_u128(number as u128))));
        }
        assert_eq!(changed, Changed::Any);
    }
}
