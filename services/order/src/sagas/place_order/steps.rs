//! What each step does, what undoes it, and why repeating either is harmless.

use std::time::Duration;

use sabotage::crash_point;

use super::{PlaceError, PlaceOrder, Placing, Step};
use crate::domain::Refusal;
use crate::sagas::CallError;
use crate::store::{Lease, StoreError};

/// What came of trying a step or a compensation once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It took effect, now or before.
    Done,
    /// It was refused for good.
    Refused(Refusal),
    /// Nobody knows; try again.
    Unknown,
    /// Another driver has moved the order on.
    Superseded,
}

/// `None`: the lease was lost while the call was under way.
impl From<Option<Result<(), CallError>>> for Attempt {
    fn from(result: Option<Result<(), CallError>>) -> Self {
        match result {
            Some(Ok(())) => Self::Done,
            Some(Err(CallError::Refused(refusal))) => Self::Refused(refusal),
            Some(Err(CallError::Unknown { callee, detail })) => {
                tracing::warn!(callee, detail, "outcome unknown, asking again");
                Self::Unknown
            }
            None => Self::Superseded,
        }
    }
}

impl PlaceOrder {
    /// Tries the action of `step` once.
    pub(super) async fn act(
        &self,
        step: Step,
        placing: &Placing,
        lease: &mut Lease,
        within: Duration,
    ) -> Result<Attempt, PlaceError> {
        let order = &placing.order;
        let attempt = match step {
            // Done before the row was stored, see `begin`; the row is the proof of it.
            Step::CutCart => Attempt::Done,
            // Key: the order. Inventory returns the stored outcome.
            Step::ReserveStock => {
                crash_point("order.reserve-stock.before-call").await;
                let reserved = lease.beside(&self.store, self.callees.inventory.reserve(order, within)).await;
                crash_point("order.reserve-stock.after-call").await;
                reserved.into()
            }
            // Key: the order. Payment returns the stored outcome; in doubt, asking again is how one learns it.
            Step::AuthorisePayment => {
                let card = placing.card_token.as_ref().ok_or_else(|| StoreError::Corrupt {
                    order: order.id.as_uuid(),
                    detail: "pending without card".to_owned(),
                })?;
                crash_point("order.authorise-payment.before-call").await;
                let authorised = lease.beside(&self.store, self.callees.payment.authorise(order, card, within)).await;
                crash_point("order.authorise-payment.after-call").await;
                authorised.into()
            }
            // Key: the order's row, with its state and the fencing token: the second of two finds nothing to do.
            Step::Place => match self.store.mark_placed(order, lease).await? {
                true => Attempt::Done,
                false => Attempt::Superseded,
            },
        };
        Ok(attempt)
    }

    /// Tries the compensation of `step` once. Each works also where the step had no effect or is still under way, and stops it
    /// from having one later.
    pub(super) async fn compensate(
        &self,
        step: Step,
        placing: &Placing,
        lease: &mut Lease,
        within: Duration,
    ) -> Attempt {
        let order = &placing.order;
        let result = match step {
            // Key: the order. The cart puts a cut back once.
            Step::CutCart => {
                crash_point("order.abandon-cut.before-call").await;
                let abandon = self.callees.cart.abandon_checkout(order.cart, order.id, within);
                let result = lease.beside(&self.store, abandon).await;
                crash_point("order.abandon-cut.after-call").await;
                result
            }
            // Key: the order. Leaves a tombstone if there was no reservation.
            Step::ReserveStock => {
                crash_point("order.release-stock.before-call").await;
                let result = lease.beside(&self.store, self.callees.inventory.release(order.id, within)).await;
                crash_point("order.release-stock.after-call").await;
                result
            }
            // Key: the order. Leaves a tombstone if there was no payment.
            Step::AuthorisePayment => {
                crash_point("order.void-payment.before-call").await;
                let result = lease.beside(&self.store, self.callees.payment.void(order.id, within)).await;
                crash_point("order.void-payment.after-call").await;
                result
            }
            // Our own transaction, which happened or did not: a pivot has no compensation, and the plan asks for none.
            Step::Place => Some(Ok(())),
        };
        result.into()
    }
}
