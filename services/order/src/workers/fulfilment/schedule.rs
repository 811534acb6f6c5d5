//! Schedules a placed order.

use std::time::Duration;

use contracts::order::v1::OrderPlaced;
use ids::OrderId;
use outbox::{HandleError, Handler, Received};
use sqlx::PgConnection;

use crate::store;

/// Consumes `order.placed.v1`. A repeat finds the order scheduled.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    delay: Duration,
}

impl Schedule {
    /// Orders ship `delay` after they were seen here.
    pub const fn new(delay: Duration) -> Self {
        Self { delay }
    }
}

impl Handler for Schedule {
    fn topics(&self) -> &'static [&'static str] {
        &["order.placed.v1"]
    }

    async fn handle(&self, conn: &mut PgConnection, event: &Received) -> Result<(), HandleError> {
        let placed: OrderPlaced = event.decode()?;
        let id: OrderId = placed.order_id.parse().map_err(|error| HandleError::Poison(format!("order_id: {error}")))?;
        Ok(store::schedule(conn, id, self.delay).await?)
    }
}
