//! What one entry of a line contributes to its quantity.

use crate::bands::Bands;
use crate::dot::Dot;
use crate::dot_fun::Lattice;
use crate::parts::Parts;

/// One entry's contribution. `S` is the snapshot (name, price) taken when a unit was added; that of a unit never changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Contribution<S> {
    /// How its units count.
    pub kind: Kind,
    /// Units added, each as the shopper saw it; only the entry's owner adds to them, and to a set nobody does.
    pub bands: Bands<S>,
    /// Which of them some remove, set or order has taken; all of them among those added.
    pub gone: Parts,
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
    pub(crate) const fn new(kind: Kind, bands: Bands<S>) -> Self {
        Self { kind, bands, gone: Parts::none() }
    }

    /// Units added.
    pub fn added(&self) -> u64 {
        self.bands.units()
    }

    /// The units that are not gone.
    pub fn live(&self) -> Parts {
        self.gone.rest_of(self.added())
    }

    /// How many units are not gone. `None` for a spent entry, which shows nothing.
    pub fn live_units(&self) -> Option<u64> {
        Some(self.added().saturating_sub(self.gone.units())).filter(|units| *units > 0)
    }
}

impl<S: Ord + Clone> Lattice for Contribution<S> {
    /// Units added join by maximum, the longer version with its snapshots; units gone by union. Under one dot the kind never differs between
    /// honest replicas, nor the snapshot of a unit; were they to, the greater stands, so that the laws hold for any input and
    /// replicas still converge.
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
        self.bands.join(&other.bands);
        self.gone.join(&other.gone);
    }
}
