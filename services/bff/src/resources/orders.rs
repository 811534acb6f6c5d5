//! Orders.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::IntoResponse;
use contracts::order::v1 as wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Missing;
use super::money::{Money, PricedUnits};
use super::offers::Page;
use crate::Bff;
use crate::caller::Customer;
use crate::extract::{Json, Key, Parameters, Segments};
use crate::problem::Problem;

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub struct Order {
    order_id: String,
    state: OrderState,
    /// Whether the money came in.
    captured: bool,
    lines: Vec<OrderLine>,
    total: Money,
    /// Paid back so far, in minor units.
    refunded_minor: i64,
    /// RFC 3339.
    created_at: String,
    /// Why it was rejected, such as CARD_DECLINED; empty otherwise.
    rejection_reason: String,
    /// The region that drives it.
    home_region: String,
    delivery: Delivery,
    /// The order of the same request that stands in this one's place; null otherwise. While the regions could not talk both made an
    /// order of it; this one was rejected, or was the later and is cancelled, or paid back if it had shipped.
    superseded_by: Option<String>,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderState {
    /// An outcome is awaited; read it again.
    Pending,
    /// It stands.
    Placed,
    /// The goods left.
    Shipped,
    /// It could not be placed.
    Rejected,
    /// The shopper cancelled it, or it was superseded.
    Cancelled,
}

/// A line of an order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderLine {
    offer_id: String,
    seller_id: String,
    title: String,
    /// Of several prices the dearest: times the quantity it is never less than what the line costs.
    unit_price: Money,
    quantity: i64,
    /// The units by price, dearest first: each costs what was shown when it was added to the cart.
    prices: Vec<PricedUnits>,
    /// Units returned so far. The dearest come back first, each for what it cost.
    returned_quantity: i64,
}

/// What to order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaceOrder {
    cart_id: String,
    /// The version of the cart that the shopper saw.
    cart_version: String,
    /// The payment provider's token of the card. A card number is refused, here and in every other field.
    #[schema(example = "tok_visa")]
    card_token: String,
    delivery: Delivery,
    /// The total that the shopper was shown. Give it: a cart that costs anything else is refused (`CART_TOTAL_CHANGED`).
    #[serde(default)]
    total: Option<Amount>,
}

/// An amount of money that a client names, as it is shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    minor_units: i64,
    /// `currency_code` is taken too: it was called so in requests before.
    #[serde(alias = "currency_code")]
    #[schema(example = "GBP")]
    currency: String,
}

/// Where the goods go.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Delivery {
    #[serde(default)]
    pub(super) recipient: String,
    #[serde(default)]
    pub(super) street: String,
    #[serde(default)]
    pub(super) city: String,
    #[serde(default)]
    pub(super) postal_code: String,
    #[schema(example = "United Kingdom")]
    pub(super) country: String,
}

/// A page of orders, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderPage {
    orders: Vec<Order>,
    /// Give it back as `page_token` for the next page; empty on the last.
    next_page_token: String,
    /// Regions that could not be asked: their orders are missing here.
    unreachable_regions: Vec<String>,
}

impl TryFrom<wire::Order> for Order {
    type Error = Missing;

    fn try_from(wire: wire::Order) -> Result<Self, Missing> {
        Ok(Self {
            state: wire.state().try_into()?,
            order_id: wire.order_id,
            captured: wire.captured,
            lines: wire.lines.into_iter().map(OrderLine::try_from).collect::<Result<_, _>>()?,
            total: wire.total.ok_or(Missing("total"))?.into(),
            refunded_minor: wire.refunded_minor,
            created_at: wire.created_at,
            rejection_reason: wire.rejection_reason,
            home_region: wire.home_region,
            delivery: wire.delivery.unwrap_or_default().into(),
            superseded_by: Some(wire.superseded_by_order_id).filter(|other| !other.is_empty()),
        })
    }
}

impl TryFrom<wire::OrderState> for OrderState {
    type Error = Missing;

    fn try_from(wire: wire::OrderState) -> Result<Self, Missing> {
        match wire {
            wire::OrderState::Unspecified => Err(Missing("state")),
            wire::OrderState::Pending => Ok(Self::Pending),
            wire::OrderState::Placed => Ok(Self::Placed),
            wire::OrderState::Shipped => Ok(Self::Shipped),
            wire::OrderState::Rejected => Ok(Self::Rejected),
            wire::OrderState::Cancelled => Ok(Self::Cancelled),
        }
    }
}

impl TryFrom<wire::OrderLine> for OrderLine {
    type Error = Missing;

    fn try_from(wire: wire::OrderLine) -> Result<Self, Missing> {
        let unit_price = wire.unit_price.ok_or(Missing("unit_price"))?.into();
        Ok(Self {
            offer_id: wire.offer_id,
            seller_id: wire.seller_id,
            title: wire.title,
            prices: PricedUnits::of(wire.prices, (&unit_price, wire.quantity))?,
            unit_price,
            quantity: wire.quantity,
            returned_quantity: wire.returned_quantity,
        })
    }
}

impl From<wire::DeliveryAddress> for Delivery {
    fn from(wire: wire::DeliveryAddress) -> Self {
        let wire::DeliveryAddress { recipient, street, city, postal_code, country } = wire;
        Self { recipient, street, city, postal_code, country }
    }
}

impl From<Delivery> for wire::DeliveryAddress {
    fn from(delivery: Delivery) -> Self {
        let Delivery { recipient, street, city, postal_code, country } = delivery;
        Self { recipient, street, city, postal_code, country }
    }
}

impl std::fmt::Debug for Delivery {
    /// An address is nobody's business, least of all a log's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery").finish_non_exhaustive()
    }
}

pub(super) fn order(wire: Option<wire::Order>) -> Result<Order, Missing> {
    wire.ok_or(Missing("order"))?.try_into()
}

/// Orders the version of a cart that the shopper saw.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", request_body = PlaceOrder,
    params(("Idempotency-Key" = String, Header, description = "Names this request; repeat it when you repeat the request")),
    responses(
        (status = 201, description = "The order stands", body = Order),
        (status = 202, description = "An outcome, usually the card's, is still unknown: read the order to learn it", body = Order),
        (status = 402, description = "The card was declined", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The cart has moved on (`CART_VERSION_STALE`) or costs something else than the total that was named (`CART_TOTAL_CHANGED`), \
            holds two currencies (`MIXED_CURRENCIES`) or too many orders that are undecided (`TOO_MANY_CHECKOUTS`), or lines are out of stock", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Nothing is known yet; repeat the request after `Retry-After`: the cart's version is still on its way here \
            (`CART_VERSION_AHEAD`), or the shopper's home region alone can answer and is cut off (`HOME_REGION_UNREACHABLE`, which says whether it \
            may have been done)", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn place(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Key(idempotency_key): Key,
    Json(body): Json<PlaceOrder>,
) -> Result<impl IntoResponse, Problem> {
    let request = wire::PlaceOrderRequest {
        customer_id: customer.id(),
        idempotency_key,
        cart_id: body.cart_id,
        cart_version: body.cart_version,
        card_token: body.card_token,
        delivery: Some(body.delivery.into()),
        expected_total: body
            .total
            .map(|total| contracts::money::v1::Money { minor_units: total.minor_units, currency_code: total.currency }),
    };
    let order = order(bff.backends.orders.place_order(request).await?.order)?;
    let status = if order.state == OrderState::Pending { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    Ok((status, [(LOCATION, format!("/v1/orders/{}", order.order_id))], Answer(order)))
}

/// Reads an order, in whichever region.
#[utoipa::path(get, path = "/v1/orders/{order_id}", tag = "orders",
    params(("order_id" = String, Path, description = "The order")),
    responses(
        (status = 200, description = "The order", body = Order),
        (status = 503, description = "Its home alone can answer and is cut off (`HOME_REGION_UNREACHABLE`): repeat after `Retry-After`, in any region",
            body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments(order_id): Segments<String>,
) -> Result<Answer<Order>, Problem> {
    let request = wire::GetOrderRequest { order_id, customer_id: customer.id() };
    Ok(Answer(order(bff.backends.orders.get_order(request).await?.order)?))
}

/// Lists the session's orders, newest first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", params(Page), responses(
    (status = 200, description = "At most page_size orders, of both regions; `unreachable_regions` names one that could not be asked", body = OrderPage),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn list(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Parameters(Page { page_size, page_token }): Parameters<Page>,
) -> Result<Answer<OrderPage>, Problem> {
    let request = wire::ListOrdersRequest { customer_id: customer.id(), page_size, page_token };
    let mut answer = bff.backends.orders.list_orders(request).await?;
    let orders = std::mem::take(&mut answer.orders).into_iter().map(Order::try_from).collect::<Result<_, _>>()?;
    let wire::ListOrdersResponse { next_page_token, unreachable_regions, .. } = answer;
    Ok(Answer(OrderPage { orders, next_page_token, unreachable_regions }))
}

/// Cancels an order that has not shipped. Repeating it is fine.
#[utoipa::path(post, path = "/v1/orders/{order_id}/cancel", tag = "orders",
    params(("order_id" = String, Path, description = "The order")),
    responses(
        (status = 200, description = "The cancelled order", body = Order),
        (status = 503, description = "Its home alone can answer and is cut off (`HOME_REGION_UNREACHABLE`): repeat after `Retry-After`, in any region",
            body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn cancel(
    State(bff): State<Arc<Bff>>,
    customer: Customer,
    Segments(order_id): Segments<String>,
) -> Result<Answer<Order>, Problem> {
    let request = wire::CancelOrderRequest { order_id, customer_id: customer.id() };
    Ok(Answer(order(bff.backends.orders.cancel_order(request).await?.order)?))
}
