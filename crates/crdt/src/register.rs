//! A multi-value register: concurrent values are kept as siblings for a person to choose from.

use std::collections::BTreeMap;

use crate::context::CausalContext;
use crate::dot::{CountersExhausted, Dot, ReplicaId};

/// A register (such as the delivery address) whose concurrent assignments all stand until one that saw them replaces them.
///
/// A replica's assignments follow one another, so its later one replaces its earlier ones, whoever has seen what. The register
/// keeps only the latest of each replica, with its dot, also once it is replaced: so it is bounded by how many replicas there are,
/// in whatever order deltas come and whatever a peer sends, and it joins without a causal context. The bounded form of the
/// dotted version vector set of Almeida, Baquero, Gonçalves, Preguiça and Fonte, "Scalable and accurate causality tracking for
/// eventually consistent stores", DAIS 2014.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MvRegister<V> {
    latest: BTreeMap<ReplicaId, Latest<V>>,
}

/// A replica's latest assignment. The order is the lattice: a later one is above an earlier one, and of one and the same
/// assignment "replaced" is above its value. (Two values under one dot come from no honest replica; the greater stands, so
/// that replicas still converge.) A total order joins by maximum, and a map of such joins by key: that is the whole proof.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Latest<V> {
    counter: u64,
    fate: Fate<V>,
}

/// What has become of an assignment. The order of the variants is part of the lattice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fate<V> {
    Stands(V),
    Replaced,
}

/// What an assignment did: join `register`, under `context`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment<V> {
    /// The new value, if there is one, and those replaced.
    pub register: MvRegister<V>,
    /// The operation's dot, and the dots of those replaced.
    pub context: CausalContext,
}

impl<V> Default for MvRegister<V> {
    fn default() -> Self {
        Self { latest: BTreeMap::new() }
    }
}

impl<V> MvRegister<V> {
    /// The values that stand: none, one, or concurrent siblings, in the same order everywhere.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.latest.values().filter_map(|latest| match &latest.fate {
            Fate::Stands(value) => Some(value),
            Fate::Replaced => None,
        })
    }

    /// The dots of each replica's latest assignment, also of one that was replaced; by replica, one each.
    pub fn dots(&self) -> impl Iterator<Item = Dot> {
        self.latest.iter().map(|(replica, latest)| Dot::new(*replica, latest.counter))
    }

    /// Whether nothing was ever assigned; of a delta: whether it leaves the register alone.
    pub fn is_untouched(&self) -> bool {
        self.latest.is_empty()
    }

    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = (Dot, &Fate<V>)> {
        self.latest.iter().map(|(replica, latest)| (Dot::new(*replica, latest.counter), &latest.fate))
    }

    pub(crate) fn put(&mut self, dot: Dot, fate: Fate<V>) {
        self.latest.insert(dot.replica, Latest { counter: dot.counter, fate });
    }

    /// Assigns `value` as `replica`, which has seen `context`: replaces the siblings seen, and no other.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn assign(
        &self,
        context: &CausalContext,
        replica: ReplicaId,
        value: V,
    ) -> Result<Assignment<V>, CountersExhausted> {
        let operation = context.next_dot(replica)?;
        let mut assignment = self.replacement(operation);
        assignment.register.put(operation, Fate::Stands(value));
        Ok(assignment)
    }

    /// Replaces the siblings seen by nothing.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn clear(&self, context: &CausalContext, replica: ReplicaId) -> Result<Assignment<V>, CountersExhausted> {
        Ok(self.replacement(context.next_dot(replica)?))
    }

    fn replacement(&self, operation: Dot) -> Assignment<V> {
        let mut register = Self::default();
        let mut context = CausalContext::new();
        for (dot, _) in self.entries().filter(|(_, fate)| matches!(fate, Fate::Stands(_))) {
            register.put(dot, Fate::Replaced);
            context.insert(dot);
        }
        context.insert(operation);
        Assignment { register, context }
    }
}

impl<V: Ord + Clone> MvRegister<V> {
    /// Joins a delta or another replica's register into this one.
    pub fn join(&mut self, other: &Self) {
        for (replica, theirs) in &other.latest {
            match self.latest.get_mut(replica) {
                Some(ours) if *ours < *theirs => ours.clone_from(theirs),
                Some(_) => {}
                None => _ = self.latest.insert(*replica, theirs.clone()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
