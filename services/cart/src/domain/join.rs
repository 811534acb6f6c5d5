//! Joining what the other region did into a cart.

use std::collections::BTreeMap;

use crdt::{CausalContext, HostileDelta, MvRegister, Overgrown, ReplicaId};

use super::{Address, CartDelta, Item, JOINED_LINES_MAX, LineEntries};

/// Why a delta is not joined. Nothing of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefusedDelta {
    /// No honest replica sends it.
    #[error(transparent)]
    Hostile(#[from] HostileDelta),
    /// Deltas that are harmless one by one have added up to something that could not be read again.
    #[error(transparent)]
    Overgrown(#[from] Overgrown),
    /// The cart would become larger than any two regions can make it.
    #[error("cart would have more than {JOINED_LINES_MAX} lines")]
    CartFull,
}

/// What a delta is joined into: the context, the address, the number of stored lines, and of the lines those that the delta names.
#[derive(Debug)]
pub struct Joining<'a> {
    /// The cart's causal context.
    pub context: &'a mut CausalContext,
    /// The cart's delivery address. It has no room to outgrow its decoder.
    pub address: &'a mut MvRegister<Address>,
    /// Stored lines.
    pub line_count: &'a mut usize,
    /// Lines by offer; those that are missing are empty. Emptied lines stay in it, to be deleted.
    pub lines: &'a mut BTreeMap<Item, LineEntries>,
}

impl Joining<'_> {
    /// Joins `delta`, which came from another replica, at `replica`.
    ///
    /// Returns the delta of our own `Add` entries that are spent now and were dropped, to ship: nobody else may drop them.
    ///
    /// # Errors
    /// [`RefusedDelta`]; nothing was changed.
    pub fn join(&mut self, delta: &CartDelta, replica: ReplicaId) -> Result<Option<CartDelta>, RefusedDelta> {
        crdt::validate_from_peer(delta, replica, self.context)?;
        let mut joined = BTreeMap::new();
        let mut retired: Option<CartDelta> = None;
        let mut line_count = *self.line_count;
        for (item, theirs) in &delta.lines {
            let before = self.lines.get(item);
            let mut line = before.cloned().unwrap_or_default();
            line.join(self.context, theirs, &delta.context);
            if let Some(change) = line.retire(replica) {
                line.join(self.context, &change.line, &change.context);
                match &mut retired {
                    Some(retired) => retired.push(item.clone(), change),
                    None => retired = Some(CartDelta::of_line(item.clone(), change)),
                }
            }
            line_count += usize::from(!line.is_empty());
            line_count = line_count.saturating_sub(usize::from(before.is_some_and(|line| !line.is_empty())));
            joined.insert(item.clone(), line);
        }
        if line_count > JOINED_LINES_MAX {
            return Err(RefusedDelta::CartFull);
        }
        let mut context = self.context.clone();
        context.join(&delta.context);
        crdt::validate_joined(&context, joined.values())?;
        self.lines.append(&mut joined);
        self.address.join(&delta.address);
        *self.context = context;
        *self.line_count = line_count;
        Ok(retired)
    }
}
