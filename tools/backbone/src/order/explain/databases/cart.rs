//! The checkout that cut the order from its cart.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// A checkout, in the region that began it or as a replica in the other.
#[derive(Clone, Debug, FromRow)]
pub struct Checkout {
    pub state: String,
    pub begun_here: bool,
    /// Where it is a replica: when it arrived.
    pub begun_at: DateTime<Utc>,
}

/// The checkout of an order.
///
/// # Errors
/// What the server said.
pub async fn read(conn: &mut PgConnection, order: Uuid) -> Result<Option<Checkout>, sqlx::Error> {
    sqlx::query_as("select state, cart_is_own(origin) as begun_here, begun_at from cart_checkout where order_id = $1")
        .bind(order)
        .fetch_optional(conn)
        .await
}
