//! What one entry of a line contributes to its quantity.

use crate::dot_fun::Lattice;

/// One entry's contribution. `S` is the snapshot (name, price) taken when the entry was born; it never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contribution<S> {
    /// Units that one replica added since the entry was born.
    Add {
        /// Units added; only the entry's owner raises it.
        added: u64,
        /// How many of them some remove, set or checkout has seen; at most `added`.
        removed: u64,
        /// As the shopper saw it.
        snapshot: S,
    },
    /// A quantity that replaced everything its author had seen. Immutable.
    Set {
        /// Units.
        quantity: u64,
        /// As the shopper saw it.
        snapshot: S,
    },
}

impl<S> Contribution<S> {
    /// Units that count towards the line now. `None` for a spent `Add`, which shows nothing.
    pub fn live_units(&self) -> Option<u64> {
        match self {
            Self::Add { added, removed, .. } => Some(added.saturating_sub(*removed)).filter(|units| *units > 0),
            Self::Set { quantity, .. } => Some(*quantity),
        }
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &S {
        match self {
            Self::Add { snapshot, .. } | Self::Set { snapshot, .. } => snapshot,
        }
    }
}

impl<S: Ord + Clone> Lattice for Contribution<S> {
    /// Counters join by maximum. Under one dot kind and snapshot never differ between honest replicas; were they to, the
    /// greater stands, so that the laws hold for any input and replicas still converge.
    fn join(&mut self, other: &Self) {
        match (&mut *self, other) {
            (
                Self::Add { added, removed, snapshot },
                Self::Add { added: their_added, removed: their_removed, snapshot: their_snapshot },
            ) => {
                *added = (*added).max(*their_added);
                *removed = (*removed).max(*their_removed);
                join_snapshot(snapshot, their_snapshot);
            }
            (Self::Set { quantity, snapshot }, Self::Set { quantity: their_quantity, snapshot: their_snapshot }) => {
                *quantity = (*quantity).max(*their_quantity);
                join_snapshot(snapshot, their_snapshot);
            }
            (Self::Add { .. }, Self::Set { .. }) => *self = other.clone(),
            (Self::Set { .. }, Self::Add { .. }) => {}
        }
    }
}

fn join_snapshot<S: Ord + Clone>(snapshot: &mut S, other: &S) {
    if *snapshot < *other {
        snapshot.clone_from(other);
    }
}
