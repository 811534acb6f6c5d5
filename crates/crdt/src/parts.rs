//! Which units of an entry: a set of unit numbers, kept as ranges.

/// A set of units of one entry, which are numbered from 0 in the order in which they were added.
///
/// Removals, sets and checkouts each name the very units that were shown to them, so what one of them takes says nothing about the units that
/// another one holds. A count ("the first five are gone") cannot say that: it takes the hidden units below with it.
///
/// Canonical: ranges ascend, none is empty, none touches the next. Equal sets are equal values. Joins by union.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parts {
    ranges: Vec<(u64, u64)>,
}

impl Parts {
    /// No units.
    pub const fn none() -> Self {
        Self { ranges: Vec::new() }
    }

    /// The first `units` units.
    pub fn first(units: u64) -> Self {
        if units == 0 { Self::none() } else { Self { ranges: vec![(0, units)] } }
    }

    /// The units from `from` on and below `until`.
    pub(crate) fn range(from: u64, until: u64) -> Self {
        if from < until { Self { ranges: vec![(from, until)] } } else { Self::none() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many units.
    pub fn units(&self) -> u64 {
        self.ranges.iter().map(|(from, until)| until - from).sum()
    }

    /// The ranges: first unit, and the first that is not in it.
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    /// The first unit above all of these.
    pub fn end(&self) -> u64 {
        self.ranges.last().map_or(0, |(_, until)| *until)
    }

    /// The union.
    pub fn join(&mut self, other: &Self) {
        if other.ranges.is_empty() || self.ranges == other.ranges {
            return;
        }
        let mut all: Vec<(u64, u64)> = self.ranges.iter().chain(&other.ranges).copied().collect();
        all.sort_unstable();
        self.ranges.clear();
        for (from, until) in all {
            match self.ranges.last_mut() {
                Some((_, last)) if from <= *last => *last = until.max(*last),
                _ => self.ranges.push((from, until)),
            }
        }
    }

    /// The first `units` units without these.
    #[must_use]
    pub fn rest_of(&self, units: u64) -> Self {
        let mut rest = Vec::new();
        let mut next = 0;
        for &(from, until) in self.ranges.iter().take_while(|(from, _)| *from < units) {
            if from > next {
                rest.push((next, from));
            }
            next = until;
        }
        if next < units {
            rest.push((next, units));
        }
        Self { ranges: rest }
    }

    /// The units in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let end = self.end().max(other.end());
        let mut outside = self.rest_of(end);
        outside.join(&other.rest_of(end));
        outside.rest_of(end)
    }

    /// The set of these ranges, if they are its canonical form; for decoders.
    pub(crate) fn from_canonical(ranges: Vec<(u64, u64)>) -> Option<Self> {
        let apart = ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
        (apart && ranges.iter().all(|(from, until)| from < until)).then_some(Self { ranges })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set() -> impl Strategy<Value = BTreeSet<u64>> {
        prop::collection::btree_set(0_u64..20, 0..20)
    }

    fn of(set: &BTreeSet<u64>) -> Parts {
        let mut parts = Parts::none();
        set.iter().rev().for_each(|unit| parts.join(&Parts { ranges: vec![(*unit, unit + 1)] }));
        parts
    }

    proptest! {
        #[test]
        fn prop_is_the_set_of_its_units(left in set(), right in set(), units in 0_u64..25) {
            let (a, b) = (of(&left), of(&right));
            prop_assert_eq!(a.units(), left.len() as u64);
            let mut union = a.clone();
            union.join(&b);
            prop_assert_eq!(&union, &of(&left.union(&right).copied().collect()));
            prop_assert_eq!(a.common(&b), of(&left.intersection(&right).copied().collect()));
            prop_assert_eq!(a.rest_of(units), of(&(0..units).filter(|unit| !left.contains(unit)).collect()));
            prop_assert_eq!(Parts::from_canonical(union.ranges.clone()), Some(union));
        }
    }

    #[test]
    fn ranges_that_touch_overlap_or_are_empty_are_not_canonical() {
        for ranges in [vec![(0, 2), (2, 3)], vec![(0, 2), (1, 3)], vec![(1, 1)], vec![(3, 4), (0, 1)]] {
            assert_eq!(Parts::from_canonical(ranges.clone()), None, "{ranges:?}");
        }
    }
}
