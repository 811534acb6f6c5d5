//! Returning units of a shipped order and paying them back.
//!
//! 1. **Store the return** (pivot): in one transaction under the order's row lock the units are taken off what is left, and the
//!    return stands with its amount and the duty to refund it. A repeat under the same key finds it.
//! 2. **Refund** (retried until it succeeds, first by the request, then by the refund worker). Key: the return's id. Before the
//!    capture payment refuses it for now, which is the usual case of a return right after shipping.
//!
//! Any number of returns of one order may run at once: the lock orders them, and each takes from what the ones before it left.

use std::time::Duration;

use chassis::retry::Backoff;
use chassis::trace_context::current_traceparent;
use ids::{OrderId, RefundId};
use sabotage::crash_point;
use tokio::time::Instant;

use super::{CallError, Callees};
use crate::domain::{ReturnRequest, ReturnState, Share};
use crate::store::{Driver, DueRefund, Return, ReturnRefused, Store, StoreError};

/// How long one call to refund may take.
const CALL_MAX: Duration = Duration::from_secs(3);
/// Longer than a call, so that nobody takes over while one runs; if somebody does, the key makes it harmless.
pub(crate) const LEASE: Duration = Duration::from_secs(4);
/// Between turns. A capture usually follows within a second; a payment service that is down is asked every few seconds.
const BETWEEN_TURNS: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// Takes returns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReturnOrder {
    store: Store,
    callees: Callees,
}

impl ReturnOrder {
    /// The saga over a store and the services it calls.
    pub const fn new(store: Store, callees: Callees) -> Self {
        Self { store, callees }
    }

    /// Takes units back, then tries to refund them until `until`. If that does not succeed, it is driven on without the caller.
    ///
    /// # Errors
    /// [`ReturnRefused`].
    pub async fn take_back(&self, request: &ReturnRequest, until: Instant) -> Result<Return, ReturnRefused> {
        let driver = Driver::generate();
        let traceparent = current_traceparent();
        let mut stored = self.store.take_back(request, RefundId::generate(), driver, LEASE, traceparent).await?;
        if let Some(accepted) = stored.fresh.take() {
            let within = until.saturating_duration_since(Instant::now()).min(CALL_MAX);
            let due = Due { id: stored.id, order: request.order, shares: &accepted.shares, attempts: 0 };
            if self.refund(due, driver, within).await? {
                stored.state = ReturnState::Refunded;
            }
        }
        Ok(stored)
    }

    /// One turn of the refund worker at one refund.
    pub(crate) async fn turn(&self, due: &DueRefund, driver: Driver) -> Result<(), StoreError> {
        let due = Due { id: due.id, order: due.order, shares: &due.shares, attempts: due.attempts };
        self.refund(due, driver, CALL_MAX).await.map(drop)
    }

    /// Tries the second step once; whether it is done.
    async fn refund(&self, due: Due<'_>, driver: Driver, within: Duration) -> Result<bool, StoreError> {
        let Due { id, order, shares, attempts } = due;
        crash_point("order.refund.before-call").await;
        let refunded = self.callees.payment.refund(id, order, shares, within).await;
        crash_point("order.refund.after-call").await;
        match refunded {
            Ok(()) => {
                self.store.refund_confirmed(id).await?;
                return Ok(true);
            }
            Err(CallError::Unknown { callee, detail }) => {
                tracing::info!(return_id = %id, callee, detail, "refund not confirmed yet");
            }
            Err(CallError::Refused(refusal)) if refusal.reason == "PAYMENT_NOT_CAPTURED" => {
                tracing::debug!(return_id = %id, "refund waits for the capture");
            }
            // The return fits the order, so the refund fits the capture: somebody must look. The money is owed all the same.
            Err(CallError::Refused(refusal)) => {
                tracing::error!(return_id = %id, order_id = %order, %refusal, "refund was refused");
            }
        }
        let failures = u32::try_from(attempts).unwrap_or(0).saturating_add(1);
        self.store.put_off_refund(id, driver, BETWEEN_TURNS.delay_now(failures)).await?;
        Ok(false)
    }
}

/// A refund to try, and how often it was tried before.
struct Due<'a> {
    id: RefundId,
    order: OrderId,
    shares: &'a [Share],
    attempts: i32,
}
