//! Cancelling: races the shipping worker for the row, and exactly one of the two wins.

use contracts::order::v1::OrderCancelled;
use ids::{CustomerId, OrderId};
use outbox::NewEvent;
use sabotage::crash_point;

use super::fence::is_unguarded;
use super::lease::Lease;
use super::row::parse_state;
use super::{Store, StoreError};
use crate::domain::{IllegalTransition, OrderEvent, OrderState};

/// What became of a request to cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled now; its payment is still to be voided.
    Now,
    /// It was cancelled before.
    Before,
    /// It cannot be cancelled as it stands.
    Refused(OrderState, IllegalTransition),
    /// This customer has no such order.
    NotFound,
}

impl Store {
    /// Cancels a placed order in one transaction: its state, its event, and the duty to void the payment, which the recovery
    /// worker takes up at once. The row lock makes this and shipping wait for each other, and both start from placed.
    pub async fn cancel(&self, id: OrderId, customer: CustomerId) -> Result<Cancelled, StoreError> {
        let mut transaction = chassis::database::begin(&self.pool).await?;
        let row = sqlx::query!(
            "select state, refusal from customer_order where order_id = $1 and customer_id = $2 for update",
            id.as_uuid(),
            customer.as_uuid(),
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(Cancelled::NotFound) };
        let state = parse_state(&row.state, row.refusal)
            .map_err(|detail| StoreError::Corrupt { order: id.as_uuid(), detail })?;
        if state == OrderState::Cancelled {
            return Ok(Cancelled::Before);
        }
        if let Err(illegal) = state.clone().apply(OrderEvent::Cancelled) {
            return Ok(Cancelled::Refused(state, illegal));
        }
        sqlx::query!(
            "update customer_order set state = 'cancelled', ship_at = null, drive_after = now() where order_id = $1",
            id.as_uuid(),
        )
        .execute(&mut *transaction)
        .await?;
        let event = OrderCancelled { order_id: id.to_string() };
        let event = NewEvent::new("order.cancelled.v1", "order", id.to_string(), &event);
        outbox::append(&mut transaction, self.region, &[event]).await?;
        crash_point("order.cancel.before-commit").await;
        transaction.commit().await?;
        crash_point("order.cancel.after-commit").await;
        Ok(Cancelled::Now)
    }

    /// Notes that the payment of a cancelled order is voided: nothing is left to do for it. False when the lease is another driver's.
    pub async fn mark_voided(&self, lease: &Lease) -> Result<bool, StoreError> {
        crash_point("order.mark-voided.before-commit").await;
        let updated = sqlx::query!(
            "update customer_order set drive_after = null
             where order_id = $1 and (state = 'cancelled' and fence = $2 or $3)",
            lease.order.as_uuid(),
            lease.fence.as_i64(),
            is_unguarded(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.mark-voided.after-commit").await;
        Ok(updated.rows_affected() > 0)
    }
}
