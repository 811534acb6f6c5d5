//! Fencing tokens: what stops a driver that was suspended past its lease and wakes to write.
//!
//! Each claim of an order (or of a refund) hands out the next number of its row, and every write of a driver carries the number of
//! its claim. A write whose number is not the row's any more is refused, in the statement itself: there is no moment between the
//! look and the write. So the only driver that can write is the one that claimed last, whatever the others believe. The states that
//! the statements start from stay as assertions of the table (`domain::OrderState::apply`).
//!
//! Shipping needs no token. It has no lease that could lapse: the rows are locked, read and written in one transaction.
//!
//! Source: Kleppmann, "How to do distributed locking", 2016.

use sabotage::{Guard, is_removed};

/// The token of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence(i64);

impl Fence {
    /// That of whoever stored the row.
    pub const FIRST: Self = Self(1);

    pub(super) const fn from_row(fence: i64) -> Self {
        Self(fence)
    }

    pub(super) const fn as_i64(self) -> i64 {
        self.0
    }
}

/// True in drills that take the guard away: then no write of a driver asks who holds the lease, or where the order stands, and what a
/// zombie does is done again.
#[inline]
pub(super) fn is_unguarded() -> bool {
    is_removed(Guard::FencingCheck)
}
