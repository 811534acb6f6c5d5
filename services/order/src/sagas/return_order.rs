//! Returning units of a shipped order and paying them back.
//!
//! 1. **Store the return** (pivot): in one transaction under the order's row lock the units are taken off what is left, and the
//!    return stands with its amount and the duty to refund it. A repeat under the same key finds it.
//! 2. **Refund** (retried until it succeeds, first by the request, then by the refund worker). Key: the return's id. Before the
//!    capture payment refuses it for now, which is the usual case of a return right after shipping. Any other refusal parks it.
//!
//! Any number of returns of one order may run at once: the lock orders them, and each takes from what the ones before it left.

use std::time::Duration;

use chassis::trace_context::current_traceparent;
use ids::{OrderId, RefundId};
use sabotage::crash_point;
use tokio::time::Instant;

use super::patience::{CALL_MAX, Next, Patience};
use super::{CallError, Callees};
use crate::domain::{ReturnRequest, ReturnState, Share};
use crate::store::{DueRefund, Fence, Return, ReturnRefused, Store, StoreError};

/// Longer than a call, so that nobody takes over while one runs; if somebody does, the key and the fencing token make it harmless.
pub(crate) const LEASE: Duration = Duration::from_secs(4);

/// Takes returns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReturnOrder {
    store: Store,
    callees: Callees,
    patience: Patience,
}

impl ReturnOrder {
    /// The saga over a store and the services it calls.
    pub const fn new(store: Store, callees: Callees, patience: Patience) -> Self {
        Self { store, callees, patience }
    }

    /// Takes units back, then tries to refund them until `until`. If that does not succeed, it is driven on without the caller.
    ///
    /// # Errors
    /// [`ReturnRefused`].
    pub async fn take_back(&self, request: &ReturnRequest, until: Instant) -> Result<Return, ReturnRefused> {
        let mut stored = self.store.take_back(request, RefundId::generate(), LEASE, current_traceparent()).await?;
        if let Some(accepted) = stored.fresh.take() {
            let within = until.saturating_duration_since(Instant::now()).min(CALL_MAX);
            let due =
                Due { id: stored.id, order: request.order, shares: &accepted.shares, attempts: 0, fence: Fence::FIRST };
            if let Some(paid_minor) = self.refund(due, within).await? {
                (stored.state, stored.amount_minor) = (ReturnState::Refunded, paid_minor);
            }
        }
        Ok(stored)
    }

    /// One turn of the refund worker at one refund.
    pub(crate) async fn turn(&self, due: &DueRefund) -> Result<(), StoreError> {
        let DueRefund { id, order, ref shares, fence, attempts, .. } = *due;
        self.refund(Due { id, order, shares, attempts, fence }, CALL_MAX).await.map(drop)
    }

    /// Tries the second step once; what was paid back, in minor units, if payment has confirmed it.
    async fn refund(&self, due: Due<'_>, within: Duration) -> Result<Option<i64>, StoreError> {
        let Due { id, order, shares, attempts, fence } = due;
        crash_point("order.refund.before-call").await;
        let refunded = self.callees.payment.refund(id, order, shares, within).await;
        crash_point("order.refund.after-call").await;
        match refunded {
            Ok(paid_minor) => {
                self.store.refund_confirmed(id, fence, paid_minor).await?;
                return Ok(Some(paid_minor));
            }
            Err(CallError::Unknown { callee, detail }) => {
                tracing::info!(return_id = %id, callee, detail, "refund not confirmed yet");
            }
            Err(CallError::Refused(refusal)) if refusal.reason == "PAYMENT_NOT_CAPTURED" => {
                tracing::debug!(return_id = %id, "refund waits for the capture");
            }
            // The return fits the order, so the refund fits the capture: somebody must look. The money is owed all the same.
            Err(CallError::Refused(refusal)) => {
                self.store.park_refund(id, fence, &format!("refund was {refusal}")).await?;
                return Ok(None);
            }
        }
        match self.patience.after_failure(attempts) {
            Next::Again(delay) => self.store.put_off_refund(id, fence, delay).await?,
            Next::Park(reason) => drop(self.store.park_refund(id, fence, &reason).await?),
        }
        Ok(None)
    }
}

/// A refund to try, and how often it was tried before.
struct Due<'a> {
    id: RefundId,
    order: OrderId,
    shares: &'a [Share],
    attempts: i32,
    fence: Fence,
}
