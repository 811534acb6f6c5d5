//! The queue of returns whose refund is not confirmed. Leases, fencing tokens and back-offs work as those of orders do, see `lease`;
//! only that a turn is a single call, for which the lease is long enough without renewing.

use std::collections::HashMap;
use std::time::Duration;

use ids::{OrderId, RefundId};
use sabotage::crash_point;
use sqlx::PgConnection;
use uuid::Uuid;

use super::fence::{Fence, is_unguarded};
use super::row::parse;
use super::{Store, StoreError};
use crate::domain::{Share, shares_of};

/// A refund to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRefund {
    /// Its name and idempotency key.
    pub id: RefundId,
    /// Whose payment it is taken from.
    pub order: OrderId,
    /// What each seller pays back.
    pub shares: Vec<Share>,
    /// The token of the claim.
    pub fence: Fence,
    /// Turns before this one.
    pub attempts: i32,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
}

impl Store {
    /// Claims up to `limit` refunds that nobody drives, those that wait longest first.
    pub async fn claim_refunds(&self, limit: usize, lease: Duration) -> Result<Vec<DueRefund>, StoreError> {
        crash_point("order.claim-refunds.before-commit").await;
        let rows = sqlx::query!(
            "update order_return set fence = fence + 1, drive_after = now() + make_interval(secs => $1)
             where return_id in (
                select return_id from order_return
                where drive_after < now()
                order by drive_after
                limit $2
                for update skip locked
             )
             returning return_id, order_id, attempts, traceparent, fence",
            lease.as_secs_f64(),
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        crash_point("order.claim-refunds.after-commit").await;
        let ids: Vec<_> = rows.iter().map(|row| row.return_id).collect();
        let mut shares = self.refund_shares(&ids).await?;
        let due = rows.into_iter().map(|row| DueRefund {
            id: RefundId::from_uuid(row.return_id),
            order: OrderId::from_uuid(row.order_id),
            shares: shares.remove(&row.return_id).unwrap_or_default(),
            fence: Fence::from_row(row.fence),
            attempts: row.attempts,
            traceparent: row.traceparent,
        });
        Ok(due.collect())
    }

    /// What each seller pays back for each return, as it was decided when the return was stored: every repeat of a refund asks for the
    /// same. Of a return of before its lines had amounts every unit has one price.
    async fn refund_shares(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<Share>>, StoreError> {
        let rows = sqlx::query!(
            r#"select returned.return_id, line.order_id, line.seller_id,
                    coalesce(returned.amount_minor, line.unit_price_minor * returned.quantity) as "amount_minor!"
             from order_return_line returned
             join order_return on order_return.return_id = returned.return_id
             join order_line line on line.order_id = order_return.order_id and line.offer_id = returned.offer_id
             where returned.return_id = any ($1)"#,
            ids,
        )
        .fetch_all(&self.pool)
        .await?;
        let mut parts = HashMap::<Uuid, Vec<_>>::new();
        for row in rows {
            let seller = parse(row.order_id, &row.seller_id)?;
            parts.entry(row.return_id).or_default().push((seller, row.amount_minor));
        }
        let shares = parts.into_iter().map(|(id, parts)| {
            let shares = shares_of(parts.iter().map(|(seller, amount)| (seller, *amount)));
            let corrupt = |error: money::MoneyError| StoreError::Corrupt { order: id, detail: error.to_string() };
            shares.map(|shares| (id, shares)).map_err(corrupt)
        });
        shares.collect()
    }

    /// Ends a turn that did not get the refund confirmed: the next one begins after `delay`. Nothing happens if the refund is not this
    /// driver's any more.
    pub async fn put_off_refund(&self, id: RefundId, fence: Fence, delay: Duration) -> Result<(), StoreError> {
        crash_point("order.put-off-refund.before-commit").await;
        sqlx::query!(
            "update order_return set drive_after = now() + make_interval(secs => $3), attempts = attempts + 1
             where return_id = $1 and drive_after is not null and (fence = $2 or $4)",
            id.as_uuid(),
            fence.as_i64(),
            delay.as_secs_f64(),
            is_unguarded(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.put-off-refund.after-commit").await;
        Ok(())
    }

    /// Notes that payment confirmed a refund, see [`mark_refunded`]. False when it is not this driver's any more; then whoever has it,
    /// or the event, notes it.
    pub async fn refund_confirmed(&self, id: RefundId, fence: Fence, paid_minor: i64) -> Result<bool, StoreError> {
        let mut conn = self.pool.acquire().await?;
        crash_point("order.mark-refunded.before-commit").await;
        let marked = mark_refunded(&mut conn, id, Some(fence), paid_minor).await?;
        crash_point("order.mark-refunded.after-commit").await;
        Ok(marked.is_some_and(|marked| marked.is_first))
    }
}

/// A return that was to be marked refunded.
pub(super) struct Marked {
    /// Whether it was marked just now.
    pub is_first: bool,
}

/// Marks a return refunded and adds what was paid back to the order's sum, in one statement and once: the answer of the call (with the token
/// of its driver) and the event (without one) both come here, and whoever is second finds nothing to do. `None` for no such return, or one that is worth
/// less.
///
/// The order's row is locked before the return's, as when a return is stored: two statements never wait for each other in a
/// circle.
pub(super) async fn mark_refunded(
    conn: &mut PgConnection,
    id: RefundId,
    fence: Option<Fence>,
    paid_minor: i64,
) -> Result<Option<Marked>, sqlx::Error> {
    sqlx::query_as!(
        Marked,
        r#"with found as (
            select customer_order.order_id, order_return.amount_minor
            from order_return join customer_order on customer_order.order_id = order_return.order_id
            where return_id = $1 and $4 <= order_return.amount_minor
            for update of customer_order
         ), marked as (
            update order_return
            set state = 'refunded', paid_minor = $4, drive_after = null, parked_at = null, parked_reason = null
            from found
            where return_id = $1 and (state = 'requested' and ($2::bigint is null or fence = $2) or $3)
            returning found.order_id
         ), summed as (
            update customer_order set refunded_minor = refunded_minor + $4
            from marked
            where customer_order.order_id = marked.order_id
         )
         select exists (select from marked) as "is_first!" from found"#,
        id.as_uuid(),
        fence.map(Fence::as_i64),
        fence.is_some() && is_unguarded(),
        paid_minor,
    )
    .fetch_optional(conn)
    .await
}
