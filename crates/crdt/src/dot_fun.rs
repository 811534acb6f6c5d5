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

    /// Puts `value` under `dot`, replacing what was there.
    pub fn insert(&mut self, dot: Dot, value: V) {
        match self.entries.binary_search_by_key(&dot, |(dot, _)| *dot) {
            Ok(at) => self.entries[at].1 = value,
            Err(at) => self.entries.insert(at, (dot, value)),
        }
    }
}

impl<V: Lattice + Clone> DotFun<V> {
    /// Joins `other`, seen with `other_context`, into this store, seen with `context`.
    ///
    /// An entry on both sides joins by value. An entry on one side stays unless the other side's context covers its dot: then
    /// the other side has seen it and removed it.
    pub fn join(&mut self, context: &CausalContext, other: &Self, other_context: &CausalContext) {
        let mut theirs = other.entries.iter().peekable();
        let mut joined = Vec::with_capacity(self.entries.len().max(other.entries.len()));
        let keep_new = |(dot, _): &&(Dot, V)| !context.contains(*dot);
        for (dot, mut value) in self.entries.drain(..) {
            while let Some(new) = theirs.next_if(|(their_dot, _)| *their_dot < dot) {
                joined.extend(Some(new).filter(keep_new).cloned());
            }
            if let Some((_, their_value)) = theirs.next_if(|(their_dot, _)| *their_dot == dot) {
                value.join(their_value);
                joined.push((dot, value));
            } else if !other_context.contains(dot) {
                joined.push((dot, value));
            }
        }
        joined.extend(theirs.filter(keep_new).cloned());
        self.entries = joined;
    }
}
