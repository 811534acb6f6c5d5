//! Rows into domain types. What the domain cannot hold is [`StoreError::Corrupt`].

use std::fmt::Display;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use ids::{CartId, CustomerId, OrderId};
use money::Money;
use sqlx::types::Json;
use uuid::Uuid;

use super::{StoreError, refusal};
use crate::domain::{DeliveryAddress, Order, OrderLine, OrderState, Prices};

/// A row of `customer_order`, without what only drivers need.
pub(super) struct OrderRow {
    pub order_id: Uuid,
    pub customer_id: Uuid,
    pub cart_id: Uuid,
    pub home_region: String,
    pub state: String,
    pub refusal: Option<serde_json::Value>,
    pub currency: String,
    pub total_minor: i64,
    pub captured: bool,
    pub refunded_minor: i64,
    pub delivery_recipient: String,
    pub delivery_street: String,
    pub delivery_city: String,
    pub delivery_postal_code: String,
    pub delivery_country: String,
    pub created_at: DateTime<Utc>,
    pub superseded_by: Option<Uuid>,
}

/// A row of `order_line`.
pub(super) struct LineRow {
    pub order_id: Uuid,
    pub offer_id: String,
    pub seller_id: String,
    pub title: String,
    pub unit_price_minor: i64,
    pub quantity: i64,
    /// Null when all units have one price.
    pub prices: Option<Json<StoredPrices>>,
    pub returned_quantity: i64,
}

/// Units of a line by price, as JSON: pairs of the unit price in minor units and units.
pub(super) type StoredPrices = Vec<(i64, i64)>;

/// What is stored of the prices: nothing when there is one, which the line's other columns say.
pub(super) fn stored_prices(prices: &Prices) -> Option<Json<StoredPrices>> {
    let pairs = prices.iter().map(|units| (units.unit_price_minor, units.quantity));
    (prices.iter().len() > 1).then(|| Json(pairs.collect()))
}

impl OrderRow {
    /// The order that the row and its lines (by offer) say.
    pub(super) fn into_order(self, lines: Vec<LineRow>) -> Result<Order, StoreError> {
        let order = self.order_id;
        let lines = lines.into_iter().map(OrderLine::try_from).collect::<Result<_, _>>()?;
        let state = parse_state(&self.state, self.refusal).map_err(|detail| StoreError::Corrupt { order, detail })?;
        let delivery = DeliveryAddress {
            recipient: self.delivery_recipient,
            street: self.delivery_street,
            city: self.delivery_city,
            postal_code: self.delivery_postal_code,
            country: self.delivery_country,
        };
        Ok(Order {
            id: OrderId::from_uuid(order),
            customer: CustomerId::from_uuid(self.customer_id),
            cart: CartId::from_uuid(self.cart_id),
            home_region: parse(order, &self.home_region)?,
            state,
            lines,
            total: Money::new(self.total_minor, parse(order, &self.currency)?),
            captured: self.captured,
            refunded_minor: self.refunded_minor,
            delivery,
            created_at: self.created_at,
            superseded_by: self.superseded_by.map(OrderId::from_uuid),
        })
    }
}

impl TryFrom<LineRow> for OrderLine {
    type Error = StoreError;

    fn try_from(row: LineRow) -> Result<Self, StoreError> {
        let pairs = row.prices.map_or_else(|| vec![(row.unit_price_minor, row.quantity)], |prices| prices.0);
        let corrupt = |detail: String| StoreError::Corrupt { order: row.order_id, detail };
        let prices = Prices::new(pairs).map_err(|error| corrupt(error.to_string()))?;
        if prices.quantity() != row.quantity {
            return Err(corrupt(format!("{} units, and prices of {}", row.quantity, prices.quantity())));
        }
        Ok(Self {
            offer: parse(row.order_id, &row.offer_id)?,
            seller: parse(row.order_id, &row.seller_id)?,
            title: row.title,
            prices,
            returned_quantity: row.returned_quantity,
        })
    }
}

/// Parses a stored text that was written from a value of type `T`.
pub(super) fn parse<T: FromStr<Err: Display>>(order: Uuid, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|error: T::Err| StoreError::Corrupt { order, detail: format!("{text:?}: {error}") })
}

/// The state by its stored name. A refusal belongs to two of them, which the table checks too.
pub(super) fn parse_state(name: &str, refusal: Option<serde_json::Value>) -> Result<OrderState, String> {
    match (name, refusal) {
        ("pending", None) => Ok(OrderState::Pending),
        ("compensating", Some(stored)) => refusal::decode(stored).map(OrderState::Compensating),
        ("placed", None) => Ok(OrderState::Placed),
        ("shipped", None) => Ok(OrderState::Shipped),
        ("rejected", Some(stored)) => refusal::decode(stored).map(OrderState::Rejected),
        ("cancelled", None) => Ok(OrderState::Cancelled),
        (name, refusal) => Err(format!("state {name:?} with refusal {}", refusal.is_some())),
    }
}
