//! What the REST interface answers, as far as this client reads it.

use ids::{CartId, OrderId};
use serde::Deserialize;

/// A new cart.
#[derive(Clone, Debug, Deserialize)]
pub struct Cart {
    /// Its id.
    pub cart_id: CartId,
}

/// Answer to a change of a cart.
#[derive(Clone, Debug, Deserialize)]
pub struct Changed {
    /// The cart's version after it.
    pub version: String,
}

/// An amount.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Money {
    /// Minor units.
    pub minor_units: i64,
    /// ISO 4217 code.
    pub currency: String,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderState {
    /// The saga is before its pivot.
    Pending,
    /// The order stands.
    Placed,
    /// The goods left.
    Shipped,
    /// It was refused; final.
    Rejected,
    /// It was cancelled; final.
    Cancelled,
}

/// Where an order stands, without its lines: all that is read while waiting.
#[derive(Clone, Debug, Deserialize)]
pub struct OrderStatus {
    /// Its id.
    pub order_id: OrderId,
    /// Where it stands.
    pub state: OrderState,
    /// Whether the money came in.
    #[serde(default)]
    pub captured: bool,
    /// What it costs; absent before it is known.
    pub total: Option<Money>,
    /// Paid back so far, in minor units.
    #[serde(default)]
    pub refunded_minor: i64,
    /// Why it was rejected.
    pub rejection_reason: Option<String>,
}

/// An order with all that the reconciliation adds up.
#[derive(Clone, Debug, Deserialize)]
pub struct Order {
    /// Its id.
    pub order_id: OrderId,
    /// Where it stands.
    pub state: OrderState,
    /// Whether the money came in.
    #[serde(default)]
    pub captured: bool,
    /// What it costs; absent before it is known.
    pub total: Option<Money>,
    /// Paid back so far, in minor units.
    #[serde(default)]
    pub refunded_minor: i64,
    /// What was ordered.
    #[serde(default)]
    pub lines: Vec<OrderLine>,
    /// Where it goes.
    pub delivery: Option<Delivery>,
}

/// A line of an order.
#[derive(Clone, Debug, Deserialize)]
pub struct OrderLine {
    /// The offer.
    pub offer_id: String,
    /// Price of one unit; of several prices the dearest.
    pub unit_price: Money,
    /// Units ordered.
    pub quantity: i64,
    /// Units by price; absent when the server knows of one price only.
    #[serde(default)]
    pub prices: Vec<PricedUnits>,
    /// Units returned so far.
    #[serde(default)]
    pub returned_quantity: i64,
}

/// Units that have one price.
#[derive(Clone, Debug, Deserialize)]
pub struct PricedUnits {
    /// Price of one of them.
    pub unit_price: Money,
    /// Units.
    pub quantity: i64,
}

impl OrderLine {
    /// What the units cost together, in minor units.
    pub fn worth_minor(&self) -> i64 {
        if self.prices.is_empty() {
            return self.unit_price.minor_units * self.quantity;
        }
        self.prices.iter().map(|units| units.unit_price.minor_units * units.quantity).sum()
    }
}

/// The part of a delivery address that is added up.
#[derive(Clone, Debug, Deserialize)]
pub struct Delivery {
    /// Country.
    pub country: String,
}

/// A page of a customer's orders.
#[derive(Clone, Debug, Deserialize)]
pub struct Orders {
    /// Newest first.
    pub orders: Vec<Order>,
    /// Empty or absent on the last page.
    #[serde(default)]
    pub next_page_token: Option<String>,
}

/// A return that was accepted.
#[derive(Clone, Debug, Deserialize)]
pub struct Returned {
    /// What is paid back.
    pub refund: Money,
}

/// An error's body, `application/problem+json`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Problem {
    /// Machine-readable reason, such as `OUT_OF_STOCK`.
    #[serde(default)]
    pub code: String,
    /// For people.
    #[serde(default)]
    pub detail: Option<String>,
    /// Lines that stand in the way.
    #[serde(default)]
    pub lines: Vec<ProblemLine>,
}

/// A line that stands in the way.
#[derive(Clone, Debug, Deserialize)]
pub struct ProblemLine {
    /// The offer.
    pub offer_id: String,
}
