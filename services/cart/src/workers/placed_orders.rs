//! `order.placed.v1`: what was ordered leaves the cart for good.

use contracts::order::v1::OrderPlaced;
use crdt::ReplicaId;
use ids::{OrderId, Region};
use outbox::{HandleError, Handler, Received};
use sqlx::PgConnection;

use crate::store::{self, StoreError};

/// Joins the cut of each placed order.
pub struct PlacedOrders {
    replica: ReplicaId,
}

impl PlacedOrders {
    /// For the carts of `region`.
    pub fn new(region: Region) -> Self {
        Self { replica: ReplicaId(region.replica()) }
    }
}

impl Handler for PlacedOrders {
    fn topics(&self) -> &'static [&'static str] {
        &["order.placed.v1"]
    }

    async fn handle(&self, connection: &mut PgConnection, event: &Received) -> Result<(), HandleError> {
        let placed: OrderPlaced = event.decode()?;
        let order_id: OrderId =
            placed.order_id.parse().map_err(|error| HandleError::Poison(format!("order id: {error}")))?;
        match store::consume(connection, order_id, self.replica).await {
            Ok(_) => Ok(()),
            Err(StoreError::Database(error)) => Err(HandleError::Database(error)),
            Err(error) => Err(HandleError::Poison(error.to_string())),
        }
    }
}
