//! Fulfilment: when placed orders are due, and shipping all that are due at once.

use std::time::Duration;

use contracts::order::v1::OrderShipped;
use ids::OrderId;
use outbox::NewEvent;
use sabotage::crash_point;
use sqlx::PgConnection;
use tracing::Instrument as _;

use super::{Store, StoreError};

/// Lets a placed order ship after `delay`. An order that was cancelled meanwhile stays as it is.
pub(crate) async fn schedule(conn: &mut PgConnection, id: OrderId, delay: Duration) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update customer_order set ship_at = now() + make_interval(secs => $2)
         where order_id = $1 and state = 'placed' and ship_at is null",
        id.as_uuid(),
        delay.as_secs_f64(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

impl Store {
    /// Ships up to `limit` orders that are due, with their events, in one transaction; returns how many. An order that is being
    /// cancelled at this moment is skipped: if the cancel fails, the next batch has it.
    pub async fn ship_due(&self, limit: usize) -> Result<usize, StoreError> {
        let mut transaction = chassis::database::begin(&self.pool).await?;
        let shipped = sqlx::query!(
            "update customer_order set state = 'shipped'
             where order_id in (
                select order_id from customer_order
                where state = 'placed' and ship_at <= now()
                order by ship_at
                limit $1
                for update skip locked
             )
             returning order_id, traceparent",
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(&mut *transaction)
        .await?;
        if shipped.is_empty() {
            return Ok(0);
        }
        for row in &shipped {
            let id = OrderId::from_uuid(row.order_id).to_string();
            let event = NewEvent::new("order.shipped.v1", "order", id.clone(), &OrderShipped { order_id: id });
            // One statement per event and not one for all: each event belongs to the trace of its own order.
            let span = chassis::trace_context::span_with_parent("ship", row.traceparent.as_deref());
            outbox::append(&mut transaction, self.region, &[event]).instrument(span).await?;
        }
        crash_point("order.ship.before-commit").await;
        transaction.commit().await?;
        crash_point("order.ship.after-commit").await;
        Ok(shipped.len())
    }

    /// How long until the next order is due; `None` when none is scheduled.
    pub async fn next_shipment_in(&self) -> Result<Option<Duration>, StoreError> {
        let seconds = sqlx::query_scalar!(
            r#"select extract(epoch from ship_at - now())::float8 as "seconds!" from customer_order
             where state = 'placed' and ship_at is not null
             order by ship_at
             limit 1"#,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
    }
}
