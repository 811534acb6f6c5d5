//! The recovery worker: takes up orders whose driver is gone, whatever became of it, and drives them to a decision; and voids
//! the payments of cancelled orders.

use std::time::Duration;

use chassis::trace_context::span_with_parent;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::Queue;
use crate::sagas::place_order::{PlaceError, Turn};
use crate::sagas::{Next, Sagas};
use crate::store::{Claimed, Duty, Lease, StoreError};

/// A turn takes at most this long, so that orders which wait for one service do not keep the slots from others.
const TURN_MAX: Duration = Duration::from_secs(2);
/// The queue of orders that nobody drives.
#[derive(Debug, Clone)]
pub struct Recovery(Sagas);

impl Recovery {
    /// Recovery of what these sagas leave.
    pub const fn new(sagas: Sagas) -> Self {
        Self(sagas)
    }

    /// Whether the order needs no further turn of ours.
    async fn drive(&self, duty: Duty, lease: &mut Lease) -> bool {
        let ended = match duty {
            Duty::Place(placing) => {
                let turn = self.0.place.turn(*placing, lease, Instant::now() + TURN_MAX).await;
                turn.map(|turn| turn != Turn::Undecided)
            }
            Duty::Void(_) => self.0.cancel.void(lease).await.map_err(PlaceError::from),
        };
        ended.unwrap_or_else(|error| {
            tracing::error!(order_id = %lease.order, error = &error as &dyn std::error::Error, "an order could not be driven");
            false
        })
    }

    async fn after_failure(&self, lease: &Lease, attempts: i32) -> Result<(), StoreError> {
        match self.0.place.settings().patience.after_failure(attempts) {
            Next::Again(delay) => self.0.store.put_off(lease.order, lease.fence, delay).await,
            Next::Park(reason) => self.0.store.park(lease.order, lease.fence, &reason).await.map(drop),
        }
    }
}

impl Queue for Recovery {
    type Task = Claimed;

    async fn claim(&self, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        let claimed = self.0.store.claim(limit, self.0.place.settings().lease).await?;
        metrics::counter!("orders_claimed_total").increment(claimed.len() as u64);
        Ok(claimed)
    }

    async fn turn(&self, task: Claimed) {
        let Claimed { duty, mut lease, attempts, traceparent } = task;
        let work = async {
            if self.drive(duty, &mut lease).await {
                return;
            }
            if let Err(error) = self.after_failure(&lease, attempts).await {
                // The lease lapses instead.
                tracing::warn!(order_id = %lease.order, error = &error as &dyn std::error::Error, "turn not put off");
            }
        };
        work.instrument(span_with_parent("recover order", traceparent.as_deref())).await;
    }

    async fn woken(&self) {
        self.0.wake.notified().await;
    }
}
