//! A multi-value register: concurrent values are kept as siblings for a person to choose from.

use crate::context::CausalContext;
use crate::dot::{CountersExhausted, Dot, ReplicaId};
use crate::dot_fun::{DotFun, Lattice};

/// A register (such as the delivery address) whose concurrent assignments all stand until one that saw them replaces them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MvRegister<V> {
    siblings: DotFun<Sibling<V>>,
}

/// An assigned value. Under one dot it never changes, so its join is itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sibling<V>(V);

impl<V: Ord + Clone> Lattice for Sibling<V> {
    fn join(&mut self, other: &Self) {
        if self.0 < other.0 {
            self.0.clone_from(&other.0);
        }
    }
}

impl<V> Default for MvRegister<V> {
    fn default() -> Self {
        Self { siblings: DotFun::default() }
    }
}

impl<V: Ord + Clone> MvRegister<V> {
    /// The values that stand: none, one, or concurrent siblings, in the same order everywhere.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.siblings.iter().map(|(_, sibling)| &sibling.0)
    }

    /// Assigns `value` as `replica`, replacing the siblings it has seen.
    /// Returns the register to join and its context.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn assign(
        &self,
        context: &CausalContext,
        replica: ReplicaId,
        value: V,
    ) -> Result<(Self, CausalContext), CountersExhausted> {
        let operation: Dot = context.next_dot(replica)?;
        let mut delta = Self::default();
        delta.siblings.insert(operation, Sibling(value));
        let seen = self.siblings.iter().map(|(dot, _)| dot);
        Ok((delta, seen.chain([operation]).collect()))
    }

    /// Joins a delta or another replica's register, seen with `other_context`, into this one, seen with `context`.
    pub fn join(&mut self, context: &CausalContext, other: &Self, other_context: &CausalContext) {
        self.siblings.join(context, &other.siblings, other_context);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn concurrent_addresses_stay_until_the_shopper_chooses() {
        let (east, west) = (ReplicaId(1), ReplicaId(2));
        let empty = MvRegister::default();
        let (mut register, mut context) = empty.assign(&CausalContext::new(), east, "Elm Street").unwrap();
        let (other, other_context) = empty.assign(&CausalContext::new(), west, "Oak Lane").unwrap();
        register.join(&context, &other, &other_context);
        context.join(&other_context);
        assert_eq!(register.values().collect::<Vec<_>>(), [&"Elm Street", &"Oak Lane"]);

        let (choice, choice_context) = register.assign(&context, west, "Oak Lane").unwrap();
        register.join(&context, &choice, &choice_context);
        assert_eq!(register.values().collect::<Vec<_>>(), [&"Oak Lane"]);
    }
}
