//! `DotFun`: values under dots, with the join that add-wins types share.

use crate::context::CausalContext;
use crate::dot::Dot;

/// A join-semilattice: `join` is commutative, associative, idempotent, and never goes down.
pub trait Lattice {
    /// The least value above both.
    fn join(&mut self, other: &Self);
}

/// A map from dots to values that join (`DotFun` in Almeida et al. 2018, section 7). Sorted by dot.
///
/// A plain vector: it holds at most a few entries per replica, and scans of it beat any tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DotFun<V> {
    entries: Vec<(Dot, V)>,
}

impl<V> Default for DotFun<V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<V> DotFun<V> {
    /// The store of these entries, if their dots ascend; for decoders.
    pub(crate) fn from_canonical(entries: Vec<(Dot, V)>) -> Option<Self> {
        entries.windows(2).all(|pair| pair[0].0 < pair[1].0).then_some(Self { entries })
    }

    /// The entries, by dot.
    pub fn iter(&self) -> impl Iterator<Item = (Dot, &V)> {
        self.entries.iter().map(|(dot, value)| (*dot, value))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value under `dot`.
    pub fn get(&self, dot: Dot) -> Option<&V> {
        self.position(dot).ok().map(|at| &self.entries[at].1)
    }

    /// Puts `value` under `dot`, replacing what was there.
    pub fn insert(&mut self, dot: Dot, value: V) {
        match self.position(dot) {
            Ok(at) => self.entries[at].1 = value,
            Err(at) => self.entries.insert(at, (dot, value)),
        }
    }

    fn position(&self, dot: Dot) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&dot, |(dot, _)| *dot)
    }
}

impl<V: Lattice + Clone> DotFun<V> {
    /// Joins `other`, seen with `other_context`, into this store, seen with `context`.
    ///
    /// An entry on both sides joins by value. An entry on one side stays unless the other side's context covers its dot: then
    /// the other side has seen it and removed it.
    ///
    /// In place: it allocates only to take in an entry that is new here.
    pub fn join(&mut self, context: &CausalContext, other: &Self, other_context: &CausalContext) {
        let mut theirs = other.entries.iter().peekable();
        self.entries.retain_mut(|(dot, value)| {
            while theirs.next_if(|(their_dot, _)| their_dot < dot).is_some() {}
            match theirs.next_if(|(their_dot, _)| their_dot == dot) {
                Some((_, their_value)) => {
                    value.join(their_value);
                    true
                }
                None => !other_context.contains(*dot),
            }
        });
        for (dot, value) in other.entries.iter().filter(|(dot, _)| !context.contains(*dot)) {
            if let Err(at) = self.position(*dot) {
                self.entries.insert(at, (*dot, value.clone()));
            }
        }
    }
}
