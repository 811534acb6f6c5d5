//! Who drives an order, and the queue of those that nobody drives.
//!
//! A driver holds an order from `drive_after = now + lease` on and renews while it waits for others. When it dies, the time passes and
//! another claims the order. All times are the database's, so the drivers' clocks do not matter. The lease saves work, it is
//! not what keeps orders right: a driver that lost it without noticing is stopped by its fencing token, see `fence`.

use std::future::Future;
use std::time::Duration;

use ids::OrderId;
use sabotage::crash_point;
use tokio::time::Instant;
use uuid::Uuid;

use super::fence::{Fence, is_unguarded};
use super::read::load;
use super::{Store, StoreError};
use crate::domain::{CardToken, Order, OrderState};
use crate::sagas::place_order::{Placing, Step};

/// One driver's hold on one order.
#[derive(Debug)]
pub struct Lease {
    /// The order.
    pub order: OrderId,
    /// The token of the claim.
    pub fence: Fence,
    /// How long the driver may be silent.
    pub length: Duration,
    renew_at: Instant,
}

impl Lease {
    /// A hold that begins now.
    pub fn new(order: OrderId, fence: Fence, length: Duration) -> Self {
        Self { order, fence, length, renew_at: Instant::now() + length / 3 }
    }

    /// Waits for `work` and keeps the lease meanwhile, renewing at a third of it. `None` when the lease is lost: another driver has
    /// the order, and the work is dropped half-way.
    ///
    /// Only waiting renews. A driver that is held up anywhere else loses its lease, as it would with its whole process.
    pub async fn beside<T>(&mut self, store: &Store, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.keep(store) => None,
        }
    }

    async fn keep(&mut self, store: &Store) {
        loop {
            tokio::time::sleep_until(self.renew_at).await;
            match store.renew(self).await {
                Ok(true) => {}
                Ok(false) => return,
                // The lease may lapse now; that another driver takes over is harmless.
                Err(error) => {
                    tracing::warn!(order_id = %self.order, error = &error as &dyn std::error::Error, "lease not renewed")
                }
            }
            self.renew_at = Instant::now() + self.length / 3;
        }
    }
}

/// An order claimed for a turn.
#[derive(Debug)]
pub struct Claimed {
    /// What is to be done.
    pub duty: Duty,
    /// The hold on the order.
    pub lease: Lease,
    /// Turns before this one that did not reach the end.
    pub attempts: i32,
    /// The trace the order belongs to.
    pub traceparent: Option<String>,
}

/// What is left to do for an order.
#[derive(Debug, Clone)]
pub enum Duty {
    /// Drive the saga on, forward or back.
    Place(Box<Placing>),
    /// Void the payment of a cancelled order.
    Void(OrderId),
}

impl Duty {
    /// The order it is about.
    pub const fn order(&self) -> OrderId {
        match self {
            Self::Place(placing) => placing.order.id,
            Self::Void(id) => *id,
        }
    }
}

struct ClaimedRow {
    order_id: Uuid,
    state: String,
    card_token: Option<String>,
    unwind_from: Option<String>,
    attempts: i32,
    traceparent: Option<String>,
    fence: i64,
}

impl Store {
    /// Claims up to `limit` orders that nobody drives, those that wait longest first.
    pub async fn claim(&self, limit: usize, lease: Duration) -> Result<Vec<Claimed>, StoreError> {
        crash_point("order.claim.before-commit").await;
        let rows = sqlx::query_as!(
            ClaimedRow,
            "update customer_order set fence = fence + 1, drive_after = now() + make_interval(secs => $1)
             where order_id in (
                select order_id from customer_order
                where drive_after < now()
                order by drive_after
                limit $2
                for update skip locked
             )
             returning order_id, state, card_token, unwind_from, attempts, traceparent, fence",
            lease.as_secs_f64(),
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        crash_point("order.claim.after-commit").await;
        self.duties(rows, lease).await
    }

    /// Claims one undecided order, if nobody drives it.
    pub async fn claim_order(&self, id: OrderId, lease: Duration) -> Result<Option<Claimed>, StoreError> {
        crash_point("order.claim-one.before-commit").await;
        let rows = sqlx::query_as!(
            ClaimedRow,
            "update customer_order set fence = fence + 1, drive_after = now() + make_interval(secs => $1)
             where order_id = $2 and state in ('pending', 'compensating') and drive_after < now()
             returning order_id, state, card_token, unwind_from, attempts, traceparent, fence",
            lease.as_secs_f64(),
            id.as_uuid(),
        )
        .fetch_all(&self.pool)
        .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        crash_point("order.claim-one.after-commit").await;
        Ok(self.duties(rows, lease).await?.pop())
    }

    /// Holds the order for another lease. False when it is not this driver's any more.
    async fn renew(&self, lease: &Lease) -> Result<bool, StoreError> {
        crash_point("order.renew.before-commit").await;
        let updated = sqlx::query!(
            "update customer_order set drive_after = now() + make_interval(secs => $3)
             where order_id = $1 and drive_after is not null and (fence = $2 or $4)",
            lease.order.as_uuid(),
            lease.fence.as_i64(),
            lease.length.as_secs_f64(),
            is_unguarded(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.renew.after-commit").await;
        Ok(updated.rows_affected() > 0)
    }

    /// Ends a turn that did not reach the end: the next one begins after `delay`. Nothing happens if the order is not this
    /// driver's any more.
    pub async fn put_off(&self, order: OrderId, fence: Fence, delay: Duration) -> Result<(), StoreError> {
        crash_point("order.put-off.before-commit").await;
        sqlx::query!(
            "update customer_order set drive_after = now() + make_interval(secs => $3), attempts = attempts + 1
             where order_id = $1 and drive_after is not null and (fence = $2 or $4)",
            order.as_uuid(),
            fence.as_i64(),
            delay.as_secs_f64(),
            is_unguarded(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.put-off.after-commit").await;
        Ok(())
    }

    async fn duties(&self, rows: Vec<ClaimedRow>, lease: Duration) -> Result<Vec<Claimed>, StoreError> {
        let ids: Vec<_> = rows.iter().map(|row| row.order_id).collect();
        let mut orders = {
            let mut conn = self.pool.acquire().await?;
            load(&mut conn, &ids).await?
        };
        let mut claimed = Vec::with_capacity(rows.len());
        for row in rows {
            let (order, fence) = (OrderId::from_uuid(row.order_id), Fence::from_row(row.fence));
            let duty = match orders.remove(&row.order_id) {
                // Decided or turned round by another driver since the claim: its turn, not ours.
                Some(Ok(loaded)) if loaded.state.name() != row.state => continue,
                Some(Ok(loaded)) => row.duty(loaded),
                Some(Err(error)) => Err(error),
                None => continue,
            };
            match duty {
                Ok(Some(duty)) => {
                    let lease = Lease::new(order, fence, lease);
                    claimed.push(Claimed { duty, lease, attempts: row.attempts, traceparent: row.traceparent });
                }
                Ok(None) => {}
                // No driver can mend it, and it must not keep the others from being driven.
                Err(error) => drop(self.park(order, fence, &error.to_string()).await?),
            }
        }
        Ok(claimed)
    }
}

impl ClaimedRow {
    /// `None` when nothing is left to do for an order in its state.
    fn duty(&self, order: Order) -> Result<Option<Duty>, StoreError> {
        let corrupt = |detail: &str| StoreError::Corrupt { order: self.order_id, detail: detail.to_owned() };
        Ok(match order.state.clone() {
            OrderState::Pending => {
                let card_token =
                    self.card_token.clone().map(CardToken::new).ok_or_else(|| corrupt("pending without card"))?;
                Some(Duty::Place(Box::new(Placing::forward(order, card_token))))
            }
            OrderState::Compensating(refusal) => {
                let step = self.unwind_from.as_deref().and_then(Step::from_name);
                let step = step.ok_or_else(|| corrupt("compensating from no known step"))?;
                Some(Duty::Place(Box::new(Placing::back(order, step, refusal))))
            }
            OrderState::Cancelled => Some(Duty::Void(order.id)),
            OrderState::Placed | OrderState::Shipped | OrderState::Rejected(_) => None,
        })
    }
}
