//! Domain types as they go out.

use chrono::SecondsFormat;
use contracts::money::v1::{Money as WireMoney, PricedUnits};
use contracts::order::v1 as wire;
use money::{Currency, Money};

use crate::domain::{DeliveryAddress, Fate, Order, OrderLine, OrderState, UnitsAt};

/// An amount.
pub(super) fn money(amount: Money) -> WireMoney {
    WireMoney { minor_units: amount.minor_units(), currency_code: amount.currency().code().to_owned() }
}

/// A fate; an order unknown here has the fate UNKNOWN.
pub(super) const fn fate(fate: Option<Fate>) -> wire::OrderFate {
    match fate {
        None => wire::OrderFate::Unknown,
        Some(Fate::Undecided) => wire::OrderFate::Undecided,
        Some(Fate::Placed) => wire::OrderFate::Placed,
        Some(Fate::Ended) => wire::OrderFate::Ended,
    }
}

impl From<Order> for wire::Order {
    fn from(order: Order) -> Self {
        let (state, rejection_reason) = match order.state {
            // Which way the saga goes is no business of a shopper's until it is there.
            OrderState::Pending | OrderState::Compensating(_) => (wire::OrderState::Pending, String::new()),
            OrderState::Placed => (wire::OrderState::Placed, String::new()),
            OrderState::Shipped => (wire::OrderState::Shipped, String::new()),
            OrderState::Rejected(refusal) => (wire::OrderState::Rejected, refusal.reason),
            OrderState::Cancelled => (wire::OrderState::Cancelled, String::new()),
        };
        let currency = order.total.currency();
        Self {
            order_id: order.id.to_string(),
            state: state.into(),
            lines: order.lines.into_iter().map(|line| line_of(line, currency)).collect(),
            total: Some(money(order.total)),
            captured: order.captured,
            refunded_minor: order.refunded_minor,
            // Whole milliseconds: the database keeps fewer digits than the clock, and an order reads the same ever after.
            created_at: order.created_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            rejection_reason,
            home_region: order.home_region.to_string(),
            delivery: Some(order.delivery.into()),
            superseded_by_order_id: order.superseded_by.map(|other| other.to_string()).unwrap_or_default(),
        }
    }
}

fn line_of(line: OrderLine, currency: Currency) -> wire::OrderLine {
    let amount = |minor_units| money(Money::new(minor_units, currency));
    let priced =
        |units: UnitsAt| PricedUnits { unit_price: Some(amount(units.unit_price_minor)), quantity: units.quantity };
    let quantity = line.quantity();
    wire::OrderLine {
        offer_id: line.offer.to_string(),
        seller_id: line.seller.to_string(),
        title: line.title,
        unit_price: Some(amount(line.prices.dearest_minor())),
        quantity,
        returned_quantity: line.returned_quantity,
        prices: line.prices.iter().map(priced).collect(),
    }
}

impl From<DeliveryAddress> for wire::DeliveryAddress {
    fn from(address: DeliveryAddress) -> Self {
        let DeliveryAddress { recipient, street, city, postal_code, country } = address;
        Self { recipient, street, city, postal_code, country }
    }
}
