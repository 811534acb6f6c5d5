//! Replicas and the dots they issue.

use std::fmt;

/// A replica: a region, numbered once and for all. A cart's metadata is bounded by how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u8);

/// The name of one operation: the `counter`-th of `replica`, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Who performed it.
    pub replica: ReplicaId,
    /// The how-manieth of that replica; never 0 and at most [`Dot::COUNTER_MAX`].
    pub counter: u64,
}

/// A replica has used all its counters. At a million operations a second on one cart that takes 146,000 years, so seeing
/// this means that a corrupt counter was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("replica has used all its counters")]
pub struct CountersExhausted;

impl Dot {
    /// The largest counter. Below 2^62, so that no arithmetic on counters can overflow.
    pub const COUNTER_MAX: u64 = (1 << 62) - 1;

    /// The dot `counter` of `replica`.
    pub const fn new(replica: ReplicaId, counter: u64) -> Self {
        Self { replica, counter }
    }
}

impl fmt::Debug for Dot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.replica.0, self.counter)
    }
}
