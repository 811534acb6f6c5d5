//! Why the store cannot do what it is asked.

use crate::domain::IllegalTransition;
use crate::domain::ledger::Unbalanced;
use crate::domain::refund::RefundRejected;

/// Why the store cannot do what it is asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No payment of that order.
    #[error("no such payment")]
    NotFound,
    /// The refund may not be paid.
    #[error(transparent)]
    RefundRejected(#[from] RefundRejected),
    /// The database's own check stopped a refund that the domain let pass. That is a bug of ours, caught.
    #[error("refunds would pass what was captured (caught by {constraint})")]
    RefundExceedsCapture {
        /// The constraint.
        constraint: String,
    },
    /// The key names another refund.
    #[error("the refund id was used for something else")]
    RefundIdReused,
    /// The payment cannot go where it is sent.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The shares do not make the amount: the stored payment is corrupt.
    #[error(transparent)]
    Unbalanced(#[from] Unbalanced),
    /// A stored row does not read as what it should be.
    #[error("stored {what} does not read back")]
    Corrupt {
        /// What.
        what: &'static str,
    },
    /// The database failed or was not reached.
    #[error("database")]
    Database(#[from] sqlx::Error),
}
