//! Cancelling an order that has not shipped.
//!
//! 1. **Cancel** (pivot): in one transaction under the row lock the order becomes cancelled, `order.cancelled.v1` goes to the
//!    outbox, and the duty to void stands in the row. Shipping races for the same row and exactly one of them wins. Repeating it
//!    finds the order cancelled.
//! 2. **Void** (retried until it succeeds, by the recovery worker). Key: the order. A refusal parks it: that never mends itself.
//!
//! Inventory gives the stock back on the event. Nothing is compensated: a cancelled order stays cancelled.

use std::sync::Arc;

use ids::{CustomerId, OrderId};
use sabotage::crash_point;
use tokio::sync::Notify;

use super::patience::CALL_MAX;
use super::{CallError, Callees};
use crate::store::{Cancelled, Lease, Store, StoreError};

/// Cancels orders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CancelOrder {
    store: Store,
    callees: Callees,
    /// Wakes the recovery worker.
    wake: Arc<Notify>,
}

impl CancelOrder {
    /// The saga over a store and the services it calls; `wake` wakes whoever drives what it leaves to do.
    pub const fn new(store: Store, callees: Callees, wake: Arc<Notify>) -> Self {
        Self { store, callees, wake }
    }

    /// The pivot. The caller need not wait for the rest: it is durable, and driven at once.
    ///
    /// # Errors
    /// [`StoreError`]; the same request may be sent again.
    pub async fn cancel(&self, id: OrderId, customer: CustomerId) -> Result<Cancelled, StoreError> {
        let cancelled = self.store.cancel(id, customer).await?;
        if cancelled == Cancelled::Now {
            metrics::counter!("orders_cancelled_total").increment(1);
            self.wake.notify_one();
        }
        Ok(cancelled)
    }

    /// Tries the second step once. False when it is to be tried again.
    pub(crate) async fn void(&self, lease: &mut Lease) -> Result<bool, StoreError> {
        let id = lease.order;
        crash_point("order.void-cancelled.before-call").await;
        let voided = lease.beside(&self.store, self.callees.payment.void(id, CALL_MAX)).await;
        crash_point("order.void-cancelled.after-call").await;
        match voided {
            // Whether or not the lease is still ours: another driver asks again, and is told the same.
            Some(Ok(())) => drop(self.store.mark_voided(lease).await?),
            None => {}
            Some(Err(CallError::Unknown { callee, detail })) => {
                tracing::warn!(order_id = %id, callee, detail, "void not confirmed yet");
                return Ok(false);
            }
            // Capture follows shipping, which cancelling excludes: somebody must look.
            Some(Err(CallError::Refused(refusal))) => {
                self.store.park(id, lease.fence, &format!("void of a cancelled order was {refusal}")).await?;
            }
        }
        Ok(true)
    }
}
