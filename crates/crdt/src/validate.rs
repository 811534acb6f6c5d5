//! What a delta from the other region must satisfy before it is joined.

use std::collections::BTreeMap;

use crate::codec::{DOTS_MAX, ENTRIES_MAX, PARTS_MAX, REPLICAS_MAX};
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

/// Most entries of one line that a replica's own edits leave: an add and a set, and one set more for each that an open or a rejected checkout
/// has held. All replicas together stay within [`ENTRIES_MAX`].
pub const OWN_ENTRIES_MAX: usize = ENTRIES_MAX / REPLICAS_MAX;
/// Most ranges of units of one entry that an edit leaves, those that open checkouts hold counted in: were all their orders placed, no more
/// ranges would be gone than these.
pub const OWN_PARTS_MAX: usize = PARTS_MAX / 2;

/// Most runs of prices of one entry that an edit leaves. A line of several entries can have more prices than one of them; who stores lines
/// bounds those together.
pub const OWN_BANDS_MAX: usize = limits::LINE_PRICES_MAX;

/// What a join or an edit made is larger than the decoders let in, so it must not be stored: nobody could read it again.
///
/// Honest replicas do not come near by joining, since [`has_room`] bounds their edits. Deltas that pass one by one can still add up to it
/// when a peer means harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overgrown {
    /// The causal context has too many gaps.
    #[error("causal context of {0} dots is larger than {DOTS_MAX}")]
    Context(usize),
    /// A line has too many entries.
    #[error("line of {0} entries is too large")]
    Line(usize),
    /// An entry has units at too many prices.
    #[error("entry of {0} runs of prices is too large")]
    Bands(usize),
    /// An entry has its units taken in too many parts.
    #[error("entry of {0} parts is too large")]
    Parts(usize),
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
    for line in lines {
        let entries = line.entries().count();
        if entries > ENTRIES_MAX {
            return Err(Overgrown::Line(entries));
        }
        let parts = line.entries().map(|(_, entry)| entry.gone.ranges().len()).max().unwrap_or(0);
        if parts > PARTS_MAX {
            return Err(Overgrown::Parts(parts));
        }
    }
    Ok(())
}

/// Checks that a line which an edit or a checkout of `replica` has left, with all the cuts of it that are undecided (the new one too),
/// can still be read, whichever of their orders are placed and whatever the other region does meanwhile.
///
/// # Errors
/// [`Overgrown`]: do not store the edit. Removing or ordering all that the line shows makes it small again.
pub fn has_room<'a, S: 'a>(
    line: &'a Line<S>,
    cuts: impl IntoIterator<Item = &'a Line<S>>,
    replica: ReplicaId,
) -> Result<(), Overgrown> {
    let own = line.entries().filter(|(dot, _)| dot.replica == replica).count();
    if own > OWN_ENTRIES_MAX {
        return Err(Overgrown::Line(own));
    }
    let bands = line.entries().map(|(_, entry)| entry.bands.runs().len()).max().unwrap_or(0);
    if bands > OWN_BANDS_MAX {
        return Err(Overgrown::Bands(bands));
    }
    let mut parts: BTreeMap<Dot, usize> = BTreeMap::new();
    let held = cuts.into_iter().flat_map(Line::entries);
    for (dot, entry) in line.entries().chain(held) {
        *parts.entry(dot).or_default() += entry.gone.ranges().len();
    }
    match parts.into_values().max() {
        Some(parts) if parts > OWN_PARTS_MAX => Err(Overgrown::Parts(parts)),
        _ => Ok(()),
    }
}
