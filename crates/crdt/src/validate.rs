//! What a delta from the other region must satisfy before it is joined.

use crate::cart::Delta;
use crate::context::CausalContext;
use crate::dot::{Dot, ReplicaId};

/// A delta that no honest replica sends. Nothing of it may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostileDelta {
    /// It names an operation of ours that we never performed: joining it would make us reuse the dot for another operation.
    #[error("delta names dot {0:?} that this replica never issued")]
    NeverIssued(Dot),
    /// It carries an entry outside its own context: no operation produces that, and joining it would not be idempotent.
    #[error("delta carries entry {0:?} outside its own context")]
    EntryOutsideContext(Dot),
}

/// Checks a delta that arrived at `replica`, which has seen `context`.
///
/// Values in range (counters, `removed` at most `added`) are the decoder's business.
///
/// # Errors
/// [`HostileDelta`] with the first dot that offends.
pub fn validate_from_peer<K, S>(
    delta: &Delta<K, S>,
    replica: ReplicaId,
    context: &CausalContext,
) -> Result<(), HostileDelta> {
    let named = delta.context.greatest(replica);
    if named > context.greatest(replica) {
        return Err(HostileDelta::NeverIssued(Dot::new(replica, named)));
    }
    for line in delta.lines.values() {
        if let Some((dot, _)) = line.entries().find(|(dot, _)| !delta.context.contains(*dot)) {
            return Err(HostileDelta::EntryOutsideContext(dot));
        }
    }
    Ok(())
}
