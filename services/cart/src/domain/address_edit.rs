//! What an edit of the delivery address does.

use crdt::{CausalContext, CountersExhausted, MvRegister, ReplicaId};

use super::{Address, CartDelta};

/// What a client asks of the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressEdit {
    /// Deliver there.
    Assign(Address),
    /// Take back what was assigned.
    Clear,
}

/// The address and what is needed to edit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressState {
    /// The cart's causal context.
    pub context: CausalContext,
    /// The address; untouched in a cart that never had one.
    pub address: MvRegister<Address>,
}

impl AddressState {
    /// Does `edit` as `replica`: it replaces every sibling that is here. Returns the state after it and the delta to ship, or `None` when
    /// nothing changes: there is no address to take back.
    ///
    /// An assignment of the address that is there already is one all the same: it must replace what the other region assigned and
    /// this one has seen, and it stands beside what it has not.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn edited(
        &self,
        edit: &AddressEdit,
        replica: ReplicaId,
    ) -> Result<Option<(Self, CartDelta)>, CountersExhausted> {
        let assignment = match edit {
            AddressEdit::Assign(address) => self.address.assign(&self.context, replica, address.clone())?,
            AddressEdit::Clear if self.address.values().next().is_none() => return Ok(None),
            AddressEdit::Clear => self.address.clear(&self.context, replica)?,
        };
        let mut after = self.clone();
        after.address.join(&assignment.register);
        after.context.join(&assignment.context);
        Ok(Some((after, CartDelta::of_address(assignment))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::tests::address;
    use super::*;
    use crate::domain::CartState;

    const EAST: ReplicaId = ReplicaId(1);
    const WEST: ReplicaId = ReplicaId(2);

    fn after(state: &AddressState, edit: &AddressEdit, replica: ReplicaId) -> (AddressState, CartDelta) {
        state.edited(edit, replica).unwrap().unwrap()
    }

    fn values(state: &AddressState) -> Vec<Address> {
        state.address.values().cloned().collect()
    }

    fn joined(state: &AddressState, delta: &CartDelta) -> AddressState {
        let AddressState { context, address } = state.clone();
        let mut cart = CartState::from_parts(context, []).with_address(address);
        cart.join_delta(delta);
        AddressState { context: cart.context().clone(), address: cart.address().clone() }
    }

    #[test]
    fn concurrent_assignments_are_siblings_until_one_that_saw_both() {
        let empty = AddressState { context: CausalContext::new(), address: MvRegister::default() };
        assert!(empty.edited(&AddressEdit::Clear, EAST).unwrap().is_none(), "there is nothing to take back");
        let [home, work, inn] = ["Home 1", "Work 2", "Inn 3"].map(address);
        let (east, from_east) = after(&empty, &AddressEdit::Assign(home.clone()), EAST);
        let (west, from_west) = after(&empty, &AddressEdit::Assign(work.clone()), WEST);
        let (east, west) = (joined(&east, &from_west), joined(&west, &from_east));
        assert_eq!(east, west);
        assert_eq!(values(&east), [home, work]);
        let (west, from_west) = after(&west, &AddressEdit::Assign(inn.clone()), WEST);
        assert_eq!(values(&west), [inn]);
        let east = joined(&east, &from_west);
        assert_eq!(east, west);
        let (west, from_west) = after(&west, &AddressEdit::Clear, WEST);
        assert_eq!(values(&west), []);
        assert_eq!(joined(&east, &from_west), west);
    }
}
