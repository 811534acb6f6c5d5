//! Parking: a saga that cannot go on by itself keeps its state, and nobody drives it until an operator says how it goes on.

use ids::{OrderId, RefundId};
use sabotage::crash_point;

use super::fence::{Fence, is_unguarded};
use super::{Store, StoreError};

impl Store {
    /// Parks what is driven of an order, in the name of its driver. False when it is not this driver's any more.
    pub async fn park(&self, order: OrderId, fence: Fence, reason: &str) -> Result<bool, StoreError> {
        crash_point("order.park.before-commit").await;
        let updated = sqlx::query!(
            "update customer_order
             set drive_after = null, parked_at = now(), parked_reason = $3, attempts = attempts + 1
             where order_id = $1 and drive_after is not null and (fence = $2 or $4)",
            order.as_uuid(),
            fence.as_i64(),
            reason,
            is_unguarded(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.park.after-commit").await;
        let is_parked = updated.rows_affected() > 0;
        if is_parked {
            tracing::error!(order_id = %order, reason, "an order is parked: it needs a person");
            metrics::counter!("sagas_parked_total", "duty" => "order").increment(1);
        }
        Ok(is_parked)
    }

    /// Parks a refund, in the name of its driver. False when it is not this driver's any more.
    pub async fn park_refund(&self, refund: RefundId, fence: Fence, reason: &str) -> Result<bool, StoreError> {
        crash_point("order.park-refund.before-commit").await;
        let updated = sqlx::query!(
            "update order_return
             set drive_after = null, parked_at = now(), parked_reason = $3, attempts = attempts + 1
             where return_id = $1 and drive_after is not null and (fence = $2 or $4)",
            refund.as_uuid(),
            fence.as_i64(),
            reason,
            is_unguarded(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.park-refund.after-commit").await;
        let is_parked = updated.rows_affected() > 0;
        if is_parked {
            tracing::error!(return_id = %refund, reason, "a refund is parked: it needs a person");
            metrics::counter!("sagas_parked_total", "duty" => "refund").increment(1);
        }
        Ok(is_parked)
    }

    /// How many orders and refunds are parked.
    pub async fn parked_count(&self) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query!(
            r#"select (select count(*) from customer_order where parked_at is not null) as "orders!",
                      (select count(*) from order_return where parked_at is not null) as "refunds!""#,
        )
        .fetch_one(&self.pool)
        .await?;
        Ok((row.orders, row.refunds))
    }
}
