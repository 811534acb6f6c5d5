//! Domain types as wire types.

use std::collections::BTreeSet;

use contracts::cart::v1::{Cart, CartLine, DeliveryAddress, OrderedTwice as WireOrderedTwice};
use contracts::money::v1::{Money as WireMoney, PricedUnits};
use ids::CartId;
use money::{Money, UnknownCurrency};
use prost::Message;
use tonic::Status;

use crate::domain::{Address, CartState, OrderedTwice, Rejection, Version, ViewLine, newest, total};

/// The visible cart, and what two orders took of it. The view's context names the version.
pub(crate) fn cart(cart_id: CartId, view: &CartState, ordered_twice: &[OrderedTwice]) -> Cart {
    let lines = ViewLine::of(view);
    // One address that was assigned in both regions leaves nothing to choose.
    let addresses: BTreeSet<&Address> = view.address().values().collect();
    Cart {
        cart_id: cart_id.to_string(),
        version: Version(view.context().clone()).to_string(),
        total: total(&lines).map(amount),
        lines: lines.iter().map(line).collect(),
        ordered_twice: newest(ordered_twice).into_iter().map(twice).collect(),
        delivery_addresses: addresses.into_iter().map(address).collect(),
    }
}

fn address(address: &Address) -> DeliveryAddress {
    DeliveryAddress {
        recipient: address.recipient.reveal().to_owned(),
        street: address.street.reveal().to_owned(),
        city: address.city.reveal().to_owned(),
        postal_code: address.postal_code.reveal().to_owned(),
        country: address.country.reveal().to_owned(),
    }
}

pub(crate) fn twice(twice: &OrderedTwice) -> WireOrderedTwice {
    WireOrderedTwice {
        offer_id: twice.offer_id.to_string(),
        quantity: i64::try_from(twice.quantity).unwrap_or(i64::MAX),
        order_ids: twice.order_ids.iter().map(ToString::to_string).collect(),
    }
}

pub(super) fn line(view: &ViewLine) -> CartLine {
    // The domain holds lines to a million units.
    let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
    let priced =
        |(price, quantity): &(Money, u64)| PricedUnits { unit_price: Some(amount(*price)), quantity: units(*quantity) };
    CartLine {
        offer_id: view.offer_id.to_string(),
        seller_id: view.seller_id.to_string(),
        title: view.title.clone(),
        unit_price: view.dearest().map(amount),
        quantity: units(view.quantity()),
        prices: view.prices.iter().map(priced).collect(),
    }
}

/// An amount that a client names.
pub(super) fn money(wire: &WireMoney) -> Result<Money, UnknownCurrency> {
    Ok(Money::new(wire.minor_units, wire.currency_code.parse()?))
}

fn amount(money: Money) -> WireMoney {
    WireMoney { minor_units: money.minor_units(), currency_code: money.currency().to_string() }
}

/// What stands before the name of a refusal that is kept as an outcome: no message begins with it.
const REFUSED: u8 = 0;

/// A refusal as it is stored; `None` for one that is not.
pub(super) fn refused_outcome(rejection: Rejection) -> Option<Vec<u8>> {
    let mut outcome = vec![REFUSED];
    outcome.extend_from_slice(rejection.stored_name()?.as_bytes());
    Some(outcome)
}

/// A reply as it was stored when the request was first answered.
///
/// # Errors
/// The refusal that was stored; INTERNAL when it is neither.
pub(super) fn stored_reply<R: Message + Default>(outcome: &[u8]) -> Result<R, Status> {
    if let Some((&REFUSED, name)) = outcome.split_first() {
        let rejection = str::from_utf8(name).ok().and_then(Rejection::from_stored_name);
        return Err(rejection.map_or_else(|| Status::internal("a stored refusal is not known"), Status::from));
    }
    R::decode(outcome).map_err(|error| chassis::status::internal(&error))
}
