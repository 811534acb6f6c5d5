//! The refund worker: asks for refunds until payment confirms them.

use chassis::trace_context::span_with_parent;
use tracing::Instrument as _;

use super::Queue;
use crate::sagas::Sagas;
use crate::sagas::return_order::LEASE;
use crate::store::{DueRefund, StoreError};

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
    type Task = DueRefund;

    async fn claim(&self, limit: usize) -> Result<Vec<Self::Task>, StoreError> {
        self.0.store.claim_refunds(limit, LEASE).await
    }

    async fn turn(&self, due: Self::Task) {
        let span = span_with_parent("refund", due.traceparent.as_deref());
        if let Err(error) = self.0.give_back.turn(&due).instrument(span).await {
            // The lease lapses and the next turn comes.
            tracing::warn!(return_id = %due.id, error = &error as &dyn std::error::Error, "a refund could not be driven");
        }
    }
}
