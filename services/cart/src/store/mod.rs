//! Carts in Postgres. An edit is one commit under an optimistic lock on the cart's revision: of what this process remembers of the cart
//! (one round trip), or of the cart's context and the one line, read first (two).

mod address;
mod cart;
mod checkout;
mod edit;
pub mod mend;
pub mod replica;
mod settle;
mod twice;

pub use address::{LoadedAddress, commit_address, load_address};
pub use cart::{CartRow, create, load};
pub use checkout::{Checkout, begin};
pub use edit::{LoadedLine, Stored, commit_edit, load_line, remember, stored};
pub use settle::{Overdue, Settled, abandon, consume, take_overdue};

use crdt::codec::DecodeError;
use ids::OrderId;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed or cannot be reached; nothing was changed by a failed write, but its commit may have gone through.
    #[error("the carts' database failed")]
    Database(#[from] sqlx::Error),
    /// A stored value does not decode. Never written by this code: the row must be looked at.
    #[error("a stored cart value does not decode; `backbone cart mend` shows which, and mends it")]
    Corrupt(#[from] DecodeError),
    /// A stored offer id or idempotency key is malformed.
    #[error("a stored id of a cart is malformed; `backbone cart mend` shows which, and mends it")]
    CorruptId(#[from] ids::InvalidName),
    /// A stored checkout is in no state that we know.
    #[error("a stored checkout is in the unknown state {0:?}")]
    CorruptState(String),
    /// The counters of this replica are used up: a corrupt one was let in.
    #[error(transparent)]
    Exhausted(#[from] crdt::CountersExhausted),
    /// The server is a standby: what still runs on its primary, it does not know.
    #[error("the carts' database is a standby, where it cannot be told up to where the log is complete")]
    Standby,
    /// An order was placed from a checkout that is not here.
    #[error("order {0} has no checkout here")]
    CheckoutMissing(OrderId),
}

impl StoreError {
    /// Whether a write of any other cart would fail as well: the database is away, or its guard of the log refuses. Everything else, the
    /// locks of others included, is about the cart that was asked for.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Database(error) => chassis::database::is_away(error) || is_guarded(error),
            Self::Standby => true,
            Self::Corrupt(_)
            | Self::CorruptId(_)
            | Self::CorruptState(_)
            | Self::Exhausted(_)
            | Self::CheckoutMissing(_) => false,
        }
    }
}

/// Whether the database's guard of the log refused to append; see `migrations/cart/0108_replica_number.sql`.
pub(crate) fn is_guarded(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code.starts_with("CR0"))
}

/// Whether a write with the optimistic lock went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Committed.
    Done,
    /// Another writer was faster: read again and decide anew.
    Raced,
}
