//! What a delta from the other region must satisfy before it is joined.

use crate::codec::{DOTS_MAX, ENTRIES_MAX};
use crate::context::CausalContext;
use crate::delta::Delta;
use crate::dot::{Dot, ReplicaId};
use crate::line::Line;

/// A delta that no honest replica sends. Nothing of it may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostileDelta {
    /// It names an operation of ours that we never performed: joining it would make us reuse the dot for another operation.
    #[error("delta names dot {0:?} that this replica never issued")]
    NeverIssued(Dot),
    /// It carries an entry or an assignment outside its own context: no operation produces that, and joining it would not be idempotent.
    #[error("delta carries entry {0:?} outside its own context")]
    EntryOutsideContext(Dot),
}

/// Checks a delta that arrived at `replica`, which has seen `context`.
///
/// Values in range (counters, `removed` at most `added`) are the decoder's business. That an address has one sibling per replica at
/// most needs no check: [`crate::MvRegister`] has no room for a second.
///
/// # Errors
/// [`HostileDelta`] with the first dot that offends.
pub fn validate_from_peer<K, S, A>(
    delta: &Delta<K, S, A>,
    replica: ReplicaId,
    context: &CausalContext,
) -> Result<(), HostileDelta> {
    let named = delta.context.greatest(replica);
    if named > context.greatest(replica) {
        return Err(HostileDelta::NeverIssued(Dot::new(replica, named)));
    }
    let entries = delta.lines.values().flat_map(|line| line.entries().map(|(dot, _)| dot));
    match entries.chain(delta.address.dots()).find(|dot| !delta.context.contains(*dot)) {
        Some(dot) => Err(HostileDelta::EntryOutsideContext(dot)),
        None => Ok(()),
    }
}

/// What a join made is larger than the decoders let in, so it must not be stored: nobody could read it again.
///
/// Honest replicas do not come near: a line has two entries per replica, and a few more while deltas are late. Deltas that pass one
/// by one can still add up to it when a peer means harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overgrown {
    /// The causal context has too many gaps.
    #[error("causal context of {0} dots is larger than {DOTS_MAX}")]
    Context(usize),
    /// A line has too many entries.
    #[error("line of {0} entries is larger than {ENTRIES_MAX}")]
    Line(usize),
}

/// Checks what joining a peer's delta made, before it is stored.
///
/// # Errors
/// [`Overgrown`]: store nothing of it, and refuse the delta.
pub fn validate_joined<'a, S: 'a>(
    context: &CausalContext,
    lines: impl IntoIterator<Item = &'a Line<S>>,
) -> Result<(), Overgrown> {
    let dots = context.vector().len().max(context.cloud().len());
    if dots > DOTS_MAX {
        return Err(Overgrown::Context(dots));
    }
    let entries = lines.into_iter().map(|line| line.entries().count()).max().unwrap_or(0);
    if entries > ENTRIES_MAX { Err(Overgrown::Line(entries)) } else { Ok(()) }
}
