//! At which snapshot each unit of an entry was added.

use crate::parts::Parts;

/// What a unit was shown as when it was added: its price above all.
pub trait Denominated: Ord + Clone {
    /// In what it is priced. Amounts of two denominations are never compared: of each the largest set counts.
    type Denomination: Ord;

    /// Its denomination.
    fn denomination(&self) -> Self::Denomination;
}

/// A bare number has one denomination.
impl Denominated for u64 {
    type Denomination = ();

    fn denomination(&self) {}
}

/// The snapshots of an entry's units, as runs over the unit numbers: the first units were added at the first snapshot, and so on.
///
/// An entry that grows at another price than before gets another run, so that each unit keeps the price at which it was added, and every
/// remove, set and checkout that names units by number names their prices with them.
///
/// Canonical: no run is empty, and neighbours differ. Only an entry's owner appends, so of two versions of it one begins with the
/// other, and the longer one is the later: that is the join. Were neither to begin with the other, the greater would stand, so that
/// replicas converge whatever a peer makes up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bands<S> {
    runs: Vec<(u64, S)>,
}

impl<S> Default for Bands<S> {
    fn default() -> Self {
        Self { runs: Vec::new() }
    }
}

impl<S> Bands<S> {
    /// All units. Saturates.
    pub fn units(&self) -> u64 {
        self.runs.iter().fold(0, |sum, (units, _)| u64::saturating_add(sum, *units))
    }

    /// Units and their snapshot, by unit number.
    pub fn runs(&self) -> &[(u64, S)] {
        &self.runs
    }

    /// How many of the units in `parts` were added at each run's snapshot; runs of which there is none are left out.
    pub fn split<'a>(&'a self, parts: &Parts) -> impl Iterator<Item = (&'a S, u64)> {
        let numbered = self.numbered().map(|(range, snapshot)| (snapshot, parts.common(&range).units()));
        numbered.filter(|(_, units)| *units > 0).collect::<Vec<_>>().into_iter()
    }

    /// The units whose snapshot is `wanted`.
    pub fn parts(&self, wanted: impl Fn(&S) -> bool) -> Parts {
        let mut parts = Parts::none();
        self.numbered().filter(|(_, snapshot)| wanted(snapshot)).for_each(|(range, _)| parts.join(&range));
        parts
    }

    fn numbered(&self) -> impl Iterator<Item = (Parts, &S)> {
        let mut next = 0_u64;
        self.runs.iter().map(move |(units, snapshot)| {
            let from = next;
            next = next.saturating_add(*units);
            (Parts::range(from, next), snapshot)
        })
    }
}

impl<S: PartialEq> Bands<S> {
    /// `units` units at one snapshot.
    pub fn of(units: u64, snapshot: S) -> Self {
        [(units, snapshot)].into_iter().collect()
    }

    /// Appends units.
    pub fn push(&mut self, units: u64, snapshot: S) {
        match self.runs.last_mut() {
            _ if units == 0 => {}
            Some((last, same)) if *same == snapshot => *last = last.saturating_add(units),
            _ => self.runs.push((units, snapshot)),
        }
    }

    /// These runs, if they are the canonical form of some units, and of no more than a number holds; for decoders.
    pub(crate) fn from_canonical(runs: Vec<(u64, S)>) -> Option<Self> {
        let apart = runs.windows(2).all(|pair| pair[0].1 != pair[1].1);
        let sum = runs.iter().try_fold(0_u64, |sum, (units, _)| sum.checked_add(*units).filter(|_| *units > 0));
        (apart && sum.is_some_and(|sum| sum > 0)).then_some(Self { runs })
    }
}

impl<S: PartialEq> FromIterator<(u64, S)> for Bands<S> {
    fn from_iter<I: IntoIterator<Item = (u64, S)>>(runs: I) -> Self {
        let mut bands = Self::default();
        runs.into_iter().for_each(|(units, snapshot)| bands.push(units, snapshot));
        bands
    }
}

impl<S: Ord + Clone> Bands<S> {
    /// The greater of both: the maximum of a total order, and so a join.
    pub(crate) fn join(&mut self, other: &Self) {
        if (self.units(), &*self) < (other.units(), other) {
            self.clone_from(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prop_every_unit_keeps_the_snapshot_at_which_it_was_added(
            runs in prop::collection::vec((0_u64..5, 0_u64..3), 1..8),
            from in 0_u64..20,
            length in 0_u64..20,
        ) {
            let bands: Bands<u64> = runs.iter().copied().collect();
            let units: Vec<u64> = runs.iter().flat_map(|(units, price)| (0..*units).map(move |_| *price)).collect();
            prop_assert_eq!(bands.units(), units.len() as u64);
            let named = units.iter().skip(from as usize).take(length as usize);
            let split = |wanted: u64| -> u64 {
                let parts = Parts::range(from, from + length);
                bands.split(&parts).filter(|(price, _)| **price == wanted).map(|(_, units)| units).sum()
            };
            for price in 0..3 {
                prop_assert_eq!(split(price), named.clone().filter(|unit| **unit == price).count() as u64);
                let all = bands.parts(|snapshot| *snapshot == price);
                prop_assert_eq!(all.units(), units.iter().filter(|unit| **unit == price).count() as u64);
            }
        }

        #[test]
        fn prop_a_later_version_stands_in_either_order(
            earlier in prop::collection::vec((1_u64..5, 0_u64..3), 1..5),
            later in prop::collection::vec((1_u64..5, 0_u64..3), 0..5),
        ) {
            let before: Bands<u64> = earlier.iter().copied().collect();
            let after: Bands<u64> = earlier.into_iter().chain(later).collect();
            let (mut one, mut other) = (before.clone(), after.clone());
            one.join(&after);
            other.join(&before);
            prop_assert_eq!((&one, &other), (&after, &after));
        }
    }

    #[test]
    fn runs_that_are_empty_or_alike_are_not_canonical() {
        for runs in [vec![], vec![(0, 1)], vec![(1, 7), (1, 7)], vec![(u64::MAX, 1), (1, 2)]] {
            assert_eq!(Bands::from_canonical(runs.clone()), None, "{runs:?}");
        }
    }
}
