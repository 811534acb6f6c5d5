//! The recovery worker: takes up orders whose driver is gone, whatever became of it, and drives them to a decision; and voids
//! the payments of cancelled orders.

use std::time::Duration;

use chassis::retry::Backoff;
use chassis::trace_context::span_with_parent;
use ids::OrderId;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Queue;
use crate::sagas::Sagas;
use crate::sagas::place_order::Turn;
use crate::store::{Claimed, Driver, Duty, StoreError};

/// A turn takes at most this long, so that orders which wait for one service do not keep the slots from others.
const TURN_MAX: Duration = Duration::from_secs(2);
/// Between turns of one order. Below a second at first, as a payment in doubt is usually settled within one.
const BETWEEN_TURNS: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// The queue of orders that nobody drives.
#[derive(Debug, Clone)]
pub struct Recovery(Sagas);

/// An order claimed by a driver.
#[derive(Debug)]
pub struct Task {
    claimed: Claimed,
    driver: Driver,
}

impl Recovery {
    /// Recovery of what these sagas leave.
    pub const fn new(sagas: Sagas) -> Self {
        Self(sagas)
    }

    /// Whether the order needs no further turn of ours.
    async fn drive(&self, duty: Duty, driver: Driver) -> bool {
        let (id, ended) = match duty {
            Duty::Place(placing) => {
                let id = placing.order.id;
                let turn = self.0.place.turn(*placing, driver, Instant::now() + TURN_MAX).await;
                (id, turn.map(|turn| turn != Turn::Undecided).map_err(|error| error.to_string()))
            }
            Duty::Void(id) => (id, self.void(id, driver).await.map_err(|error| error.to_string())),
        };
        ended.unwrap_or_else(|error| {
            tracing::error!(order_id = %id, error, "an order could not be driven");
            false
        })
    }

    async fn void(&self, id: OrderId, driver: Driver) -> Result<bool, StoreError> {
        tokio::select! {
            ended = self.0.cancel.void(id) => ended,
            () = self.0.store.hold(id, driver, self.0.place.settings().lease) => Ok(true),
        }
    }
}

impl Queue for Recovery {
    type Task = Task;

    async fn claim(&self, limit: usize) -> Result<Vec<Task>, StoreError> {
        let driver = Driver::generate();
        let claimed = self.0.store.claim(limit, driver, self.0.place.settings().lease).await?;
        metrics::counter!("orders_claimed_total").increment(claimed.len() as u64);
        Ok(claimed.into_iter().map(|claimed| Task { claimed, driver }).collect())
    }

    async fn turn(&self, task: Task) {
        let Task { claimed: Claimed { duty, attempts, traceparent }, driver } = task;
        let id = duty.order();
        let work = async {
            if self.drive(duty, driver).await {
                return;
            }
            let failures = u32::try_from(attempts).unwrap_or(0).saturating_add(1);
            if let Err(error) = self.0.store.put_off(id, driver, BETWEEN_TURNS.delay_now(failures)).await {
                // The lease lapses instead.
                tracing::warn!(order_id = %id, %error, "turn not put off");
            }
        };
        work.instrument(span_with_parent("recover order", traceparent.as_deref())).await;
    }

    async fn woken(&self) {
        self.0.wake.notified().await;
    }
}
