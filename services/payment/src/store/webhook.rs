//! Webhooks as the store sees them: hints that a row is worth asking about now.

use std::time::Duration;

use ids::{OrderId, RefundId};
use sabotage::crash_point;

use super::{Store, StoreError, interval};

/// What a webhook is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The payment of an order.
    Payment(OrderId),
    /// A refund.
    Refund(RefundId),
}

impl Store {
    /// Makes a row due that is in flight and that nobody drives; remembers the event if it did. Returns whether there is
    /// work now.
    ///
    /// Most webhooks tell of what we know: the row is settled, or its driver is waiting for the answer itself. Those write
    /// nothing, and so cost no commit; a repeat of them finds the same. Only an event that was acted upon must be remembered.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn hint(&self, event_id: &str, subject: Subject) -> Result<bool, StoreError> {
        crash_point("payment.hint.before-commit").await;
        let hinted = match subject {
            Subject::Payment(order) => {
                sqlx::query!(
                    "with waiting as (
                         select order_id from payment where order_id = $1 and due_at > now() and claim is null
                     ), fresh as (
                         insert into webhook_event (event_id) select $2 from waiting
                         on conflict (event_id) do nothing returning event_id
                     )
                     update payment set due_at = now() from waiting, fresh
                     where payment.order_id = waiting.order_id and payment.due_at is not null and claim is null",
                    order.as_uuid(),
                    event_id,
                )
                .execute(&self.pool)
                .await?
            }
            Subject::Refund(refund) => {
                sqlx::query!(
                    "with waiting as (
                         select refund_id from refund where refund_id = $1 and due_at > now() and claim is null
                     ), fresh as (
                         insert into webhook_event (event_id) select $2 from waiting
                         on conflict (event_id) do nothing returning event_id
                     )
                     update refund set due_at = now() from waiting, fresh
                     where refund.refund_id = waiting.refund_id and refund.due_at is not null and claim is null",
                    refund.as_uuid(),
                    event_id,
                )
                .execute(&self.pool)
                .await?
            }
        };
        crash_point("payment.hint.after-commit").await;
        Ok(hinted.rows_affected() > 0)
    }

    /// Forgets webhook events older than `age`, at most `limit` of them. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn forget_webhooks(&self, age: Duration, limit: i64) -> Result<u64, StoreError> {
        // no crash point: old rows that nothing reads; what is not deleted now is deleted next time.
        let forgotten = sqlx::query!(
            "delete from webhook_event where event_id in (
                 select event_id from webhook_event where received_at < now() - $1::interval limit $2
             )",
            interval(age)?,
            limit,
        )
        .execute(&self.pool)
        .await?;
        Ok(forgotten.rows_affected())
    }
}
