//! A shipped order is captured: its payment is marked in the inbox's transaction, and a worker calls the provider after the commit.

use contracts::order::v1::OrderShipped;
use ids::OrderId;
use outbox::{HandleError, Received};
use sqlx::PgConnection;

use crate::domain::Event;
use crate::store::{Follow, StoreError, request};

/// Consumes `order.shipped.v1`.
#[derive(Clone, Copy, Debug)]
pub struct ShippedOrders;

impl outbox::Handler for ShippedOrders {
    fn topics(&self) -> &'static [&'static str] {
        &["order.shipped.v1"]
    }

    async fn handle(&self, conn: &mut PgConnection, event: &Received) -> Result<(), HandleError> {
        let shipped: OrderShipped = event.decode()?;
        let order: OrderId =
            shipped.order_id.parse().map_err(|_| HandleError::Poison("the order id is not a UUID".into()))?;
        match request(conn, order, Event::CaptureRequested, Follow::Workers).await {
            Ok(Some(_)) => Ok(()),
            // An order ships only after its authorisation was acknowledged: goods without money need a person.
            Ok(None) => Err(HandleError::Poison(format!("order {order} shipped without a payment"))),
            Err(error @ StoreError::Illegal(_)) => Err(HandleError::Poison(format!("order {order} shipped: {error}"))),
            Err(StoreError::Database(error)) => Err(error.into()),
            Err(error) => Err(HandleError::Retry(format!("order {order}: {error}"))),
        }
    }
}
