//! `order.placed.v1`: what was ordered leaves the cart for good.

use contracts::order::v1::OrderPlaced;
use ids::OrderId;
use outbox::{HandleError, Handler, Received};
use sqlx::PgConnection;

use crate::replication::Replica;
use crate::store::{self, StoreError};

/// Joins the cut of each placed order.
pub struct PlacedOrders {
    replica: Replica,
}

impl PlacedOrders {
    /// For the carts of `replica`.
    pub const fn new(replica: Replica) -> Self {
        Self { replica }
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
        match store::consume(connection, order_id, self.replica.id()).await {
            Ok(_) => {
                // Not committed yet; shipping finds it then, at the latest with the next operation or a second later.
                self.replica.log_grew();
                Ok(())
            }
            // The guard of the log refuses until somebody has decided; that is not the event's fault.
            Err(StoreError::Database(error)) if store::is_guarded(&error) => {
                Err(HandleError::Unavailable(error.to_string()))
            }
            Err(StoreError::Database(error)) => Err(HandleError::Database(error)),
            Err(error) => Err(HandleError::Poison(error.to_string())),
        }
    }
}
