//! Replicas, and positions in their logs.

/// A replica: one life of one region's database. It names the dots and the log of that life.
///
/// A database that went back in time (a backup was restored) has forgotten dots and positions that others have seen, and would hand
/// them out again. So it goes on under a number that was never used: the new number means new dots and a new log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub u8);

/// A place in one replica's log. Compared and echoed, never counted with.
///
/// The transaction comes first because a store hands out both numbers before it commits, and transactions commit in any order. "Every
/// transaction below the oldest that still runs" is a prefix of this order, and so can be given out for good; it is *not* a prefix of
/// the order of sequence numbers, since a younger transaction may have taken a smaller one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The store's number of the transaction that wrote the entry (Postgres: `xid8`).
    pub transaction: u64,
    /// The entry's own number, to tell entries of one transaction apart.
    pub sequence: u64,
}

impl Position {
    /// Before every entry.
    pub const START: Self = Self { transaction: 0, sequence: 0 };
}
