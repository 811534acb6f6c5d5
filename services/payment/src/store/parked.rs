//! What needs a person: payments and refunds that the provider refuses, or never answers.

use chrono::{DateTime, Utc};
use ids::{OrderId, RefundId};
use uuid::Uuid;

use super::{Store, StoreError};

/// A payment or refund that is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The order.
    pub order: OrderId,
    /// The refund; none for the payment itself.
    pub refund: Option<RefundId>,
    /// The state's name.
    pub state: String,
    /// In minor units of the currency.
    pub amount_minor: i64,
    /// Its code.
    pub currency: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Turns that brought no outcome.
    pub attempts: i32,
}

impl Store {
    /// Up to `limit` of what is parked, what waits longest first, of all orders or of one; and how many there are.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn parked(&self, of: Option<OrderId>, limit: i64) -> Result<(Vec<Parked>, i64), StoreError> {
        let rows = sqlx::query!(
            r#"with parked as (
                 select order_id, null::uuid as refund_id, state, amount_minor, currency, parked_reason, parked_at, attempts
                 from payment where parked_at is not null
                 union all
                 select order_id, refund_id, refund.state, refund.amount_minor, currency, refund.parked_reason,
                     refund.parked_at, refund.attempts
                 from refund join payment using (order_id) where refund.parked_at is not null
               )
               select order_id as "order_id!", refund_id, state as "state!", coalesce(amount_minor, 0) as "amount_minor!",
                   coalesce(currency, '') as "currency!", parked_reason as "reason!", parked_at as "since!",
                   attempts as "attempts!", count(*) over () as "total!"
               from parked where $1::uuid is null or order_id = $1 order by parked_at limit $2"#,
            of.map(OrderId::as_uuid),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let total = rows.first().map_or(0, |row| row.total);
        let parked = rows.into_iter().map(|row| Parked {
            order: OrderId::from_uuid(row.order_id),
            refund: row.refund_id.map(RefundId::from_uuid),
            state: row.state,
            amount_minor: row.amount_minor,
            currency: row.currency,
            reason: row.reason,
            since: row.since,
            attempts: row.attempts,
        });
        Ok((parked.collect(), total))
    }

    /// How many payments and refunds are parked.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn parked_count(&self) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query!(
            r#"select (select count(*) from payment where parked_at is not null) as "payments!",
                      (select count(*) from refund where parked_at is not null) as "refunds!""#,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.payments, row.refunds))
    }

    /// Accepts a difference between the books as it is. False when there is no such open difference.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn settle_difference(&self, difference: Uuid, operator: &str, reason: &str) -> Result<bool, StoreError> {
        sabotage::crash_point("payment.settle-difference.before-commit").await;
        let settled = sqlx::query!(
            "update reconciliation_difference
             set settled_at = coalesce(settled_at, now()), settled_by = coalesce(settled_by, $2),
                 settled_reason = coalesce(settled_reason, $3)
             where difference_id = $1 and resolved_at is null",
            difference,
            operator,
            reason,
        )
        .execute(&self.pool)
        .await?;
        sabotage::crash_point("payment.settle-difference.after-commit").await;
        Ok(settled.rows_affected() > 0)
    }
}
