//! What one entry of a line contributes to its quantity.

use crate::dot::Dot;
use crate::dot_fun::Lattice;
use crate::parts::Parts;

/// One entry's contribution. `S` is the snapshot (name, price) taken when the entry was born; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contribution<S> {
    /// How its units count.
    pub kind: Kind,
    /// Units added; only the entry's owner raises it, and of a set nobody does.
    pub added: u64,
    /// Which of them some remove, set or order has taken; all of them below `added`.
    pub gone: Parts,
    /// As the shopper saw it.
    pub snapshot: S,
}

/// How an entry's units count. The order of the variants is part of the lattice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Units that one replica added since the entry was born. They sum.
    Add,
    /// A quantity that replaced everything its author was shown. Of concurrent ones the largest counts.
    Set {
        /// The sets that an undecided checkout hid from its author. It replaces none of them: should they show again, it comes on top.
        atop: Vec<Dot>,
    },
}

impl<S> Contribution<S> {
    /// An entry of which nothing is gone.
    pub(crate) const fn new(kind: Kind, added: u64, snapshot: S) -> Self {
        Self { kind, added, gone: Parts::none(), snapshot }
    }

    /// The units that are not gone.
    pub fn live(&self) -> Parts {
        self.gone.rest_of(self.added)
    }

    /// How many units are not gone. `None` for a spent entry, which shows nothing.
    pub fn live_units(&self) -> Option<u64> {
        Some(self.added.saturating_sub(self.gone.units())).filter(|units| *units > 0)
    }

    /// The snapshot.
    pub const fn snapshot(&self) -> &S {
        &self.snapshot
    }
}

impl<S: Ord + Clone> Lattice for Contribution<S> {
    /// Units added join by maximum, units gone by union. Under one dot kind and snapshot never differ between honest replicas; were they to,
    /// the greater stands, so that the laws hold for any input and replicas still converge.
    fn join(&mut self, other: &Self) {
        match (&mut self.kind, &other.kind) {
            (Kind::Add, Kind::Set { .. }) => {
                self.clone_from(other);
                return;
            }
            (Kind::Set { .. }, Kind::Add) => return,
            (Kind::Set { atop }, Kind::Set { atop: theirs }) if *atop < *theirs => atop.clone_from(theirs),
            (Kind::Set { .. }, Kind::Set { .. }) | (Kind::Add, Kind::Add) => {}
        }
        self.added = self.added.max(other.added);
        self.gone.join(&other.gone);
        if self.snapshot < other.snapshot {
            self.snapshot.clone_from(&other.snapshot);
        }
    }
}
