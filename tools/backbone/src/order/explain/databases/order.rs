//! The order itself, its lines, its returns, and what people did to it. Neither the customer nor the address nor the card token is
//! fetched.

use chrono::{DateTime, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// An order.
#[derive(Clone, Debug, FromRow)]
pub struct Order {
    pub cart_id: Uuid,
    pub idempotency_key: String,
    pub home_region: String,
    pub state: String,
    pub unwind_from: Option<String>,
    pub refusal_reason: Option<String>,
    pub refusal_message: Option<String>,
    pub currency: String,
    pub total_minor: i64,
    pub captured: bool,
    pub refunded_minor: i64,
    pub drive_after: Option<DateTime<Utc>>,
    /// The fencing token of the last claim.
    pub fence: i64,
    pub parked_at: Option<DateTime<Utc>>,
    pub parked_reason: Option<String>,
    pub attempts: i32,
    pub ship_at: Option<DateTime<Utc>>,
    pub traceparent: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// A line of it.
#[derive(Clone, Debug, FromRow)]
pub struct Line {
    pub offer_id: String,
    pub unit_price_minor: i64,
    pub quantity: i64,
    /// Pairs of unit price and units, the dearest first, where the units have several prices.
    pub prices: Option<Json<Vec<(i64, i64)>>>,
    pub returned_quantity: i64,
}

/// A return; its id is the refund's.
#[derive(Clone, Debug, FromRow)]
pub struct Return {
    pub return_id: Uuid,
    pub idempotency_key: String,
    pub state: String,
    pub amount_minor: i64,
    pub drive_after: Option<DateTime<Utc>>,
    pub parked_reason: Option<String>,
    pub attempts: i32,
    pub traceparent: Option<String>,
    pub created_at: DateTime<Utc>,
    /// Offers and units: `2 × bread-board, 1 × bowl`.
    pub lines: Option<String>,
}

/// What an operator did to it.
#[derive(Clone, Debug, FromRow)]
pub struct Action {
    pub acted_at: DateTime<Utc>,
    pub action: String,
    pub operator: String,
    pub reason: String,
}

/// An order with its lines, its returns and what people did to it.
pub type OrderRows = (Order, Vec<Line>, Vec<Return>, Vec<Action>);

/// Two orders of one request, as the region of the later one keeps them.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Twins {
    /// The later one.
    pub order_id: Uuid,
    /// The one that stands.
    pub by_order_id: Uuid,
    pub undone_at: Option<DateTime<Utc>>,
}

/// Ids of up to `limit` orders from `first` to `last`.
///
/// # Errors
/// What the server said.
pub async fn find(conn: &mut PgConnection, first: Uuid, last: Uuid, limit: i64) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select order_id from customer_order where order_id between $1 and $2 order by order_id limit $3",
    )
    .bind(first)
    .bind(last)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// The order, and another one of the same request, as far as this region undoes one of them.
///
/// # Errors
/// What the server said.
pub async fn twins(conn: &mut PgConnection, order: Uuid) -> Result<Vec<Twins>, sqlx::Error> {
    sqlx::query_as(
        "select order_id, by_order_id, settled_at as undone_at from superseded_order
         where order_id = $1 or by_order_id = $1 order by order_id",
    )
    .bind(order)
    .fetch_all(conn)
    .await
}

/// All of an order that is there.
///
/// # Errors
/// What the server said.
pub async fn read(conn: &mut PgConnection, order: Uuid) -> Result<OrderRows, sqlx::Error> {
    let row = sqlx::query_as(
        "select cart_id, idempotency_key, home_region, state, unwind_from,
                refusal->>'reason' as refusal_reason, refusal->>'message' as refusal_message,
                currency, total_minor, captured, refunded_minor, drive_after,
                fence, parked_at, parked_reason, attempts, ship_at, traceparent, created_at
         from customer_order where order_id = $1",
    )
    .bind(order)
    .fetch_one(&mut *conn)
    .await?;
    let lines = sqlx::query_as(
        "select offer_id, unit_price_minor, quantity, prices, returned_quantity
         from order_line where order_id = $1 order by offer_id",
    )
    .bind(order)
    .fetch_all(&mut *conn)
    .await?;
    let returns = sqlx::query_as(
        "select return_id, idempotency_key, state, amount_minor, drive_after, parked_reason, attempts, traceparent, created_at,
                (select string_agg(quantity || ' × ' || offer_id, ', ' order by offer_id)
                 from order_return_line as line where line.return_id = stored.return_id) as lines
         from order_return as stored where order_id = $1 order by created_at",
    )
    .bind(order)
    .fetch_all(&mut *conn)
    .await?;
    let actions = sqlx::query_as(
        "select acted_at, action, operator, reason from operator_action where order_id = $1 order by acted_at",
    )
    .bind(order)
    .fetch_all(conn)
    .await?;
    Ok((row, lines, returns, actions))
}
