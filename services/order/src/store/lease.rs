//! Who drives an order, and the queue of those that nobody drives.
//!
//! A driver holds an order from `drive_after = now + lease` on and renews while it works. When it dies, the time passes and
//! another claims the order. All times are the database's, so the drivers' clocks do not matter. The lease saves work, it is
//! not what keeps orders right: a driver that lost it without noticing is stopped by the guarded statements.

use std::collections::HashMap;
use std::time::Duration;

use ids::OrderId;
use sabotage::crash_point;
use uuid::Uuid;

use super::read::load;
use super::{Store, StoreError};
use crate::domain::{CardToken, Order, OrderState};
use crate::sagas::place_order::{Placing, Step};

/// One turn of one driver at one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driver(Uuid);

impl Driver {
    /// A driver nobody else is.
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }

    pub(super) const fn as_uuid(self) -> Uuid {
        self.0
    }
}

/// An order claimed for a turn.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// What is to be done.
    pub duty: Duty,
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
}

impl Store {
    /// Claims up to `limit` orders that nobody drives, those that wait longest first.
    pub async fn claim(&self, limit: usize, driver: Driver, lease: Duration) -> Result<Vec<Claimed>, StoreError> {
        crash_point("order.claim.before-commit").await;
        let rows = sqlx::query_as!(
            ClaimedRow,
            "update customer_order set driver = $1, drive_after = now() + make_interval(secs => $2)
             where order_id in (
                select order_id from customer_order
                where drive_after < now()
                order by drive_after
                limit $3
                for update skip locked
             )
             returning order_id, state, card_token, unwind_from, attempts, traceparent",
            driver.as_uuid(),
            lease.as_secs_f64(),
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(&self.pool)
        .await?;
        crash_point("order.claim.after-commit").await;
        self.duties(rows).await
    }

    /// Claims one undecided order, if nobody drives it.
    pub async fn claim_order(
        &self,
        id: OrderId,
        driver: Driver,
        lease: Duration,
    ) -> Result<Option<Claimed>, StoreError> {
        crash_point("order.claim-one.before-commit").await;
        let rows = sqlx::query_as!(
            ClaimedRow,
            "update customer_order set driver = $1, drive_after = now() + make_interval(secs => $2)
             where order_id = $3 and state in ('pending', 'compensating') and drive_after < now()
             returning order_id, state, card_token, unwind_from, attempts, traceparent",
            driver.as_uuid(),
            lease.as_secs_f64(),
            id.as_uuid(),
        )
        .fetch_all(&self.pool)
        .await?;
        crash_point("order.claim-one.after-commit").await;
        Ok(self.duties(rows).await?.pop())
    }

    /// Keeps an order for `driver`, renewing at a third of the lease, and returns when the lease is lost. Run it beside the work.
    pub async fn hold(&self, id: OrderId, driver: Driver, lease: Duration) {
        loop {
            tokio::time::sleep(lease / 3).await;
            match self.renew(id, driver, lease).await {
                Ok(true) => {}
                Ok(false) => return,
                // The lease may lapse now; that another driver takes over is harmless.
                Err(error) => tracing::warn!(order_id = %id, %error, "lease not renewed"),
            }
        }
    }

    /// Holds the order for another `lease`. False when it is not this driver's any more.
    async fn renew(&self, id: OrderId, driver: Driver, lease: Duration) -> Result<bool, StoreError> {
        crash_point("order.renew.before-commit").await;
        let updated = sqlx::query!(
            "update customer_order set drive_after = now() + make_interval(secs => $3)
             where order_id = $1 and driver = $2 and drive_after is not null",
            id.as_uuid(),
            driver.as_uuid(),
            lease.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.renew.after-commit").await;
        Ok(updated.rows_affected() > 0)
    }

    /// Ends a turn that did not reach the end: the next one begins after `delay`. Nothing happens if the order is not this
    /// driver's any more.
    pub async fn put_off(&self, id: OrderId, driver: Driver, delay: Duration) -> Result<(), StoreError> {
        crash_point("order.put-off.before-commit").await;
        sqlx::query!(
            "update customer_order
             set driver = null, drive_after = now() + make_interval(secs => $3), attempts = attempts + 1
             where order_id = $1 and driver = $2 and drive_after is not null",
            id.as_uuid(),
            driver.as_uuid(),
            delay.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.put-off.after-commit").await;
        Ok(())
    }

    async fn duties(&self, rows: Vec<ClaimedRow>) -> Result<Vec<Claimed>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = rows.iter().map(|row| row.order_id).collect();
        let mut conn = self.pool.acquire().await?;
        let mut orders = HashMap::with_capacity(rows.len());
        for order in load(&mut conn, &ids).await? {
            match order {
                Ok(order) => drop(orders.insert(order.id.as_uuid(), order)),
                // One corrupt order must not keep the others from being driven.
                Err(error) => tracing::error!(%error, "an order cannot be driven"),
            }
        }
        let claimed = rows.into_iter().filter_map(|row| {
            let order = orders.remove(&row.order_id)?;
            // Decided or turned round by another driver since the claim: its turn, not ours.
            (order.state.name() == row.state).then(|| row.into_claimed(order))
        });
        claimed.filter_map(Result::transpose).collect()
    }
}

impl ClaimedRow {
    /// `None` when nothing is left to do for an order in its state.
    fn into_claimed(self, order: Order) -> Result<Option<Claimed>, StoreError> {
        let corrupt = |detail: &str| StoreError::Corrupt { order: self.order_id, detail: detail.to_owned() };
        let duty = match order.state.clone() {
            OrderState::Pending => {
                let card_token = self.card_token.map(CardToken::new).ok_or_else(|| corrupt("pending without card"))?;
                Duty::Place(Box::new(Placing::forward(order, card_token)))
            }
            OrderState::Compensating(refusal) => {
                let step = self.unwind_from.as_deref().and_then(Step::from_name);
                let step = step.ok_or_else(|| corrupt("compensating from no known step"))?;
                Duty::Place(Box::new(Placing::back(order, step, refusal)))
            }
            OrderState::Cancelled => Duty::Void(order.id),
            OrderState::Placed | OrderState::Shipped | OrderState::Rejected(_) => return Ok(None),
        };
        Ok(Some(Claimed { duty, attempts: self.attempts, traceparent: self.traceparent }))
    }
}
