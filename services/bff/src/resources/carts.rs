//! Carts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use contracts::cart::v1 as wire;
use serde::Serialize;
use utoipa::ToSchema;

use super::Missing;
use super::lines::Line;
use super::money::Money;
use super::orders::Delivery;
use crate::Bff;
use crate::caller::Customer;
use crate::extract::{Key, Segments};
use crate::problem::Problem;

/// A cart as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cart {
    cart_id: String,
    /// Names this view of the cart; give it back when you order.
    pub(super) version: String,
    lines: Vec<Line>,
    /// Null when the cart is empty or mixes currencies.
    total: Option<Money>,
    /// Where the goods go. Several when both regions were given one while they could not talk: put the right one again, and it
    /// replaces them.
    delivery_addresses: Vec<Delivery>,
    /// What two orders took, each in its region while the regions could not talk; cancel one unless you meant it. It stays when that is
    /// done: read the orders to learn it. As good as always absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ordered_twice: Vec<OrderedTwice>,
}

/// Units of an offer that were ordered twice.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderedTwice {
    offer_id: String,
    quantity: i64,
    /// The two orders.
    order_ids: Vec<String>,
}

impl From<wire::OrderedTwice> for OrderedTwice {
    fn from(wire: wire::OrderedTwice) -> Self {
        Self { offer_id: wire.offer_id, quantity: wire.quantity, order_ids: wire.order_ids }
    }
}

impl TryFrom<Option<wire::Cart>> for Cart {
    type Error = Missing;

    fn try_from(wire: Option<wire::Cart>) -> Result<Self, Missing> {
        let wire = wire.ok_or(Missing("cart"))?;
        Ok(Self {
            cart_id: wire.cart_id,
            version: wire.version,
            lines: wire.lines.into_iter().map(Line::try_from).collect::<Result<_, _>>()?,
            total: wire.total.map(Money::from),
            delivery_addresses: wire.delivery_addresses.into_iter().map(Delivery::from).collect(),
            ordered_twice: wire.ordered_twice.into_iter().map(OrderedTwice::from).collect(),
        })
    }
}

/// Creates an empty cart.
#[utoipa::path(post, path = "/v1/carts", tag = "carts",
    params(("Idempotency-Key" = String, Header, description = "Names this request; repeat it when you repeat the request")),
    responses(
        (status = 201, description = "The cart", body = Cart),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Key(idempotency_key): Key,
) -> Result<(StatusCode, Json<Cart>), Problem> {
    let request = wire::CreateCartRequest { owner_id: customer.id(), idempotency_key };
    let answer = bff.backends.carts.create_cart(request).await?;
    Ok((StatusCode::CREATED, Json(answer.cart.try_into()?)))
}

/// Reads a cart.
#[utoipa::path(get, path = "/v1/carts/{cart_id}", tag = "carts",
    params(("cart_id" = String, Path, description = "The cart")),
    responses(
        (status = 200, description = "The cart", body = Cart),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments(cart_id): Segments<String>,
) -> Result<Json<Cart>, Problem> {
    let answer = bff.backends.carts.get_cart(wire::GetCartRequest { cart_id, owner_id: customer.id() }).await?;
    Ok(Json(answer.cart.try_into()?))
}
