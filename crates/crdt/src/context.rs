//! The causal context: the set of dots a state has seen.

use crate::dot::{CountersExhausted, Dot, ReplicaId};

/// A set of dots, as a version vector for the contiguous part and a dot cloud for what arrived ahead of its predecessors.
///
/// Canonical: the vector is sorted and holds no zero, the cloud is sorted and holds nothing that the vector covers or could
/// absorb. Equal sets are therefore equal values and equal bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CausalContext {
    vector: Vec<Dot>,
    cloud: Vec<Dot>,
}

impl CausalContext {
    /// The empty set.
    pub const fn new() -> Self {
        Self { vector: Vec::new(), cloud: Vec::new() }
    }

    /// Whether `dot` was seen.
    pub fn contains(&self, dot: Dot) -> bool {
        self.contiguous(dot.replica) >= dot.counter || self.cloud.binary_search(&dot).is_ok()
    }

    /// Up to which counter every dot of `replica` was seen; 0 for none.
    pub fn contiguous(&self, replica: ReplicaId) -> u64 {
        match self.vector.binary_search_by_key(&replica, |dot| dot.replica) {
            Ok(at) => self.vector[at].counter,
            Err(_) => 0,
        }
    }

    /// The largest counter of `replica` that was seen, also beyond a gap; 0 for none.
    pub fn greatest(&self, replica: ReplicaId) -> u64 {
        let cloud = self.cloud.iter().rev().find(|dot| dot.replica == replica).map_or(0, |dot| dot.counter);
        cloud.max(self.contiguous(replica))
    }

    /// The dot that `replica`'s next operation takes. The caller inserts it by joining the operation's delta.
    ///
    /// # Errors
    /// [`CountersExhausted`] when there is none left.
    pub fn next_dot(&self, replica: ReplicaId) -> Result<Dot, CountersExhausted> {
        let counter = self.greatest(replica) + 1;
        if counter > Dot::COUNTER_MAX { Err(CountersExhausted) } else { Ok(Dot::new(replica, counter)) }
    }

    /// Adds one dot.
    pub fn insert(&mut self, dot: Dot) {
        if self.contains(dot) {
            return;
        }
        if dot.counter == self.contiguous(dot.replica) + 1 {
            self.advance(dot);
            self.absorb_cloud(dot.replica);
        } else if let Err(at) = self.cloud.binary_search(&dot) {
            self.cloud.insert(at, dot);
        }
    }

    /// Adds `last` and every dot of its replica before it.
    pub fn insert_through(&mut self, last: Dot) {
        if last.counter > self.contiguous(last.replica) {
            self.advance(last);
            self.absorb_cloud(last.replica);
        }
    }

    /// The union.
    pub fn join(&mut self, other: &Self) {
        other.vector.iter().for_each(|last| self.insert_through(*last));
        for &dot in &other.cloud {
            self.insert(dot);
        }
    }

    /// Whether every dot of `other` was seen.
    pub fn covers(&self, other: &Self) -> bool {
        other.vector.iter().all(|dot| self.contiguous(dot.replica) >= dot.counter)
            && other.cloud.iter().all(|&dot| self.contains(dot))
    }

    /// The version vector: the last dot of each replica's contiguous part, by replica.
    pub fn vector(&self) -> &[Dot] {
        &self.vector
    }

    /// Dots beyond a gap, sorted.
    pub fn cloud(&self) -> &[Dot] {
        &self.cloud
    }

    /// The set of these parts, if they are its canonical form; for decoders.
    pub(crate) fn from_canonical(vector: Vec<Dot>, cloud: Vec<Dot>) -> Option<Self> {
        let ascending = |dots: &[Dot]| dots.windows(2).all(|pair| pair[0] < pair[1]);
        let one_each = vector.windows(2).all(|pair| pair[0].replica < pair[1].replica);
        let context = Self { vector, cloud };
        let beyond_a_gap = |dot: &Dot| dot.counter > context.contiguous(dot.replica) + 1;
        (one_each && ascending(&context.cloud) && context.cloud.iter().all(beyond_a_gap)).then_some(context)
    }

    fn advance(&mut self, to: Dot) {
        match self.vector.binary_search_by_key(&to.replica, |dot| dot.replica) {
            Ok(at) => self.vector[at] = to,
            Err(at) => self.vector.insert(at, to),
        }
    }

    /// Moves what has become contiguous from the cloud into the vector, and drops what the vector covers.
    fn absorb_cloud(&mut self, replica: ReplicaId) {
        let start = self.cloud.partition_point(|dot| dot.replica < replica);
        let mut last = self.contiguous(replica);
        let mut end = start;
        while let Some(dot) = self.cloud.get(end) {
            if dot.replica != replica || dot.counter > last + 1 {
                break;
            }
            last = last.max(dot.counter);
            end += 1;
        }
        if end > start {
            self.cloud.drain(start..end);
            self.advance(Dot::new(replica, last));
        }
    }
}

impl FromIterator<Dot> for CausalContext {
    fn from_iter<I: IntoIterator<Item = Dot>>(dots: I) -> Self {
        let mut context = Self::new();
        for dot in dots {
            context.insert(dot);
        }
        context
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn dots() -> impl Strategy<Value = Vec<Dot>> {
        prop::collection::vec((1_u8..4, 1_u64..12).prop_map(|(r, c)| Dot::new(ReplicaId(r), c)), 0..30)
    }

    proptest! {
        #[test]
        fn prop_is_the_set_of_its_dots(left in dots(), right in dots()) {
            let mut joined: CausalContext = left.iter().copied().collect();
            joined.join(&right.iter().copied().collect());
            let set: BTreeSet<Dot> = left.into_iter().chain(right).collect();
            for replica in 1..4 {
                for counter in 1..14 {
                    let dot = Dot::new(ReplicaId(replica), counter);
                    prop_assert_eq!(joined.contains(dot), set.contains(&dot));
                }
            }
            // Canonical: however the set came about, it is the same value.
            prop_assert_eq!(&joined, &set.iter().rev().copied().collect());
            prop_assert!(joined.covers(&set.iter().take(5).copied().collect()));
        }
    }

    #[test]
    fn a_gap_waits_in_the_cloud_until_it_is_filled() {
        let replica = ReplicaId(1);
        let mut context: CausalContext = [Dot::new(replica, 2), Dot::new(replica, 3)].into_iter().collect();
        assert_eq!((context.contiguous(replica), context.greatest(replica)), (0, 3));
        context.insert(Dot::new(replica, 1));
        assert_eq!((context.contiguous(replica), context.cloud().len()), (3, 0));
        assert_eq!(context.next_dot(replica).unwrap(), Dot::new(replica, 4));
    }

    #[test]
    fn a_dot_with_all_before_it_takes_in_what_waited_beyond_the_gap() {
        let replica = ReplicaId(1);
        let mut context: CausalContext = [2, 5, 6].map(|counter| Dot::new(replica, counter)).into_iter().collect();
        context.insert_through(Dot::new(replica, 4));
        assert_eq!(context, (1..7).map(|counter| Dot::new(replica, counter)).collect());
        context.insert_through(Dot::new(replica, 3));
        assert_eq!(context.contiguous(replica), 6);
    }
}
