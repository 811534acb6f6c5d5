//! The refund worker: asks for refunds until payment confirms them.

use chassis::trace_context::span_with_parent;
use tracing::Instrument as _;

use super::Queue;
use crate::sagas::Sagas;
use crate::sagas::return_order::LEASE;
use crate::store::{Driver, DueRefund, StoreError};

/// The queue of refunds that nobody drives.
#[derive(Debug, Clone)]
pub struct Refunds(Sagas);

impl Refunds {
    /// The refunds of what these sagas took back.
    pub const fn new(sagas: Sagas) -> Self {
        Self(sagas)
    }
}

impl Queue for Refunds {
    type Task = (DueRefund, Driver);

    async fn claim(&self, limit: usize) -> Result<Vec<Self::Task>, StoreError> {
        let driver = Driver::generate();
        let due = self.0.store.claim_refunds(limit, driver, LEASE).await?;
        Ok(due.into_iter().map(|due| (due, driver)).collect())
    }

    async fn turn(&self, (due, driver): Self::Task) {
        let span = span_with_parent("refund", due.traceparent.as_deref());
        if let Err(error) = self.0.give_back.turn(&due, driver).instrument(span).await {
            // The lease lapses and the next turn comes.
            tracing::warn!(return_id = %due.id, %error, "a refund could not be driven");
        }
    }
}
