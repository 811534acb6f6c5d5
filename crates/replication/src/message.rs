//! What a shipper and a receiver say to each other.
//!
//! A position is a fact about one replica's disk and names that replica and the log. It is therefore true whenever it arrives: again, late,
//! or in another session than the one it was sent in. Answers of anti-entropy carry the number of their request; one that is
//! taken for the answer to another session's request at worst skips a page or repairs without need, until the next pass.

use crate::{Digest, Position, ReplicaId};

/// The version of this protocol. A receiver refuses others, so both sides can be upgraded one after the other by a receiver that
/// knows both.
pub const PROTOCOL_VERSION: u32 = 1;

/// From the shipper. `I` is a cart's id, `P` an encoded delta or whole state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToReceiver<I, P> {
    /// Opens a session, and is said again whenever answers stay away.
    Hello {
        /// [`PROTOCOL_VERSION`].
        version: u32,
        /// Whose log is shipped.
        log: ReplicaId,
    },
    /// Everything that the log will ever hold in (`after`, `through`].
    Batch {
        /// Whose log.
        log: ReplicaId,
        /// Exclusive.
        after: Position,
        /// Inclusive.
        through: Position,
        /// Deltas with their carts, in the order of the log.
        entries: Vec<(I, P)>,
    },
    /// Asks whether the receiver's carts in (`after`, `last`] have this digest.
    Compare {
        /// Echoed by the answer.
        request: u64,
        /// Exclusive; `None` is before the first cart.
        after: Option<I>,
        /// Inclusive.
        last: I,
        /// How many carts the shipper has there.
        count: usize,
        /// [`Digest::of_page`] of them.
        digest: Digest,
    },
    /// Whole states of carts that differ.
    Repair {
        /// Echoed by the answer.
        request: u64,
        /// States with their carts.
        states: Vec<(I, P)>,
    },
}

/// From the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToShipper<I> {
    /// Answers a hello: ship what comes after `through`.
    Welcome {
        /// Whose disk this is about.
        receiver: ReplicaId,
        /// Whose log.
        log: ReplicaId,
        /// Everything up to here is durable there.
        through: Position,
    },
    /// Answers a batch.
    Ack {
        /// Whose disk this is about.
        receiver: ReplicaId,
        /// Whose log.
        log: ReplicaId,
        /// Everything up to here is durable there.
        through: Position,
        /// The batch answered came after entries that never arrived, and was dropped: go back to `through`.
        gap: bool,
    },
    /// Answers a comparison; `None` when nothing differs.
    Compared {
        /// Of the comparison.
        request: u64,
        /// What the receiver has instead.
        difference: Option<Listing<I>>,
    },
    /// The states of a repair are durable.
    Repaired {
        /// Of the repair.
        request: u64,
    },
}

/// A receiver's carts in a range, or in its beginning when there are more than fit a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<I> {
    /// By id, ascending.
    pub carts: Vec<(I, Digest)>,
    /// The list is whole up to here, inclusive.
    pub through: I,
}
