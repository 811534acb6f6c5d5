//! Beginning a checkout.

use std::collections::BTreeMap;

use crdt::Dot;
use crdt::codec::{encode_context, encode_delta};
use ids::{CartId, OfferId, OrderId};
use sqlx::PgExecutor;
use sqlx::types::Json;

use super::edit::written;
use super::{CartRow, StoreError, Stored, Write};
use crate::domain::CartDelta;

/// A checkout about to be stored.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// The order it is for.
    pub order_id: OrderId,
    /// The checkout's own dot, which moves the cart's version on.
    pub operation: Dot,
    /// What it consumes once the order is placed.
    pub cut: CartDelta,
    /// What is ordered: units by offer.
    pub lines: BTreeMap<OfferId, u64>,
}

/// Stores a checkout and moves the cart's version on, if the cart is still as it was read and the key is new.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn begin(
    database: impl PgExecutor<'_>,
    cart_id: CartId,
    read: &CartRow,
    checkout: &Checkout,
    operation_key: &str,
    stored: &Stored,
) -> Result<Write, StoreError> {
    let mut context = read.state.context().clone();
    context.insert(checkout.operation);
    sabotage::crash_point("cart.checkout.before-commit").await;
    let moved = sqlx::query_scalar!(
        r#"with moved as (
               update cart set context = $3, revision = revision + 1
               where cart_id = $1 and revision = $2
               returning cart_id
           ), begun as (
               insert into cart_checkout (order_id, cart_id, cut, operation, seen, ordered)
               select $4, cart_id, $5, $10, $11, $12 from moved
           ), logged as (
               insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta, order_id)
               select cart_id, $6, $7, $8, $9, $4 from moved
           )
           select count(*) as "moved!" from moved"#,
        cart_id.as_uuid(),
        read.revision,
        encode_context(&context),
        checkout.order_id.as_uuid(),
        encode_delta(&checkout.cut),
        operation_key,
        stored.request_digest,
        stored.outcome,
        encode_delta(&CartDelta::tick(checkout.operation)),
        i64::try_from(checkout.operation.counter).unwrap_or(i64::MAX),
        encode_context(read.state.context()),
        Json(&checkout.lines) as _,
    )
    .fetch_one(database)
    .await;
    sabotage::crash_point("cart.checkout.after-commit").await;
    written(moved)
}
