//! Requests into domain types. What does not fit is named field by field, all of it at once.

use std::collections::HashSet;

use chassis::status::Fields;
use contracts::order::v1 as wire;
use ids::{CustomerId, OfferId, OrderId};
use limits::{CITY_CHARS_MAX, COUNTRY_CHARS_MAX, LINES_MAX, POSTAL_CODE_CHARS_MAX, TEXT_CHARS_MAX, VERSION_CHARS_MAX};
use money::Money;
use tonic::Status;

use crate::domain::{CardToken, DeliveryAddress, PageToken, PlaceRequest, ReturnLine, ReturnRequest};

const PAGE_SIZE_MAX: i32 = 100;
const PAGE_SIZE_DEFAULT: usize = 20;

/// A page of orders that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PageRequest {
    pub customer: CustomerId,
    pub before: Option<OrderId>,
    pub size: usize,
}

pub(super) fn place_order(request: wire::PlaceOrderRequest) -> Result<PlaceRequest, Status> {
    let mut fields = Fields::default();
    let customer = fields.parse("customer_id", &request.customer_id);
    let idempotency_key = fields.name("idempotency_key", &request.idempotency_key);
    let cart = fields.parse("cart_id", &request.cart_id);
    let cart_version = fields.opaque("cart_version", request.cart_version, VERSION_CHARS_MAX);
    let card_token = fields
        .check("card_token", text::card_token::check(&request.card_token).map(|()| CardToken::new(request.card_token)));
    let delivery = delivery(&mut fields, request.delivery.unwrap_or_default());
    let expected_total = expected_total(&mut fields, request.expected_total);
    let value = (|| {
        Some(PlaceRequest {
            customer: customer?,
            idempotency_key: idempotency_key?,
            cart: cart?,
            cart_version: cart_version?,
            card_token: card_token?,
            delivery: delivery?,
            expected_total: expected_total.ok()?,
        })
    })();
    fields.finish(value)
}

/// Nothing when it is not given; an error, which is noted, when it is no amount.
fn expected_total(fields: &mut Fields, total: Option<contracts::money::v1::Money>) -> Result<Option<Money>, Refused> {
    let Some(total) = total else { return Ok(None) };
    let currency = fields.parse("expected_total.currency_code", &total.currency_code).ok_or(Refused)?;
    Ok(Some(Money::new(total.minor_units, currency)))
}

/// A field was refused; which one is noted.
struct Refused;

fn delivery(fields: &mut Fields, address: wire::DeliveryAddress) -> Option<DeliveryAddress> {
    let recipient = fields.text("delivery.recipient", address.recipient, 0, TEXT_CHARS_MAX);
    let street = fields.text("delivery.street", address.street, 0, TEXT_CHARS_MAX);
    let city = fields.text("delivery.city", address.city, 0, CITY_CHARS_MAX);
    let postal_code = fields.text("delivery.postal_code", address.postal_code, 0, POSTAL_CODE_CHARS_MAX);
    let country = fields.text("delivery.country", address.country, 1, COUNTRY_CHARS_MAX);
    Some(DeliveryAddress {
        recipient: recipient?,
        street: street?,
        city: city?,
        postal_code: postal_code?,
        country: country?,
    })
}

pub(super) fn order(order_id: &str) -> Result<OrderId, Status> {
    let mut fields = Fields::default();
    let id = fields.parse("order_id", order_id);
    fields.finish(id)
}

pub(super) fn order_and_customer(order_id: &str, customer_id: &str) -> Result<(OrderId, CustomerId), Status> {
    let mut fields = Fields::default();
    let id = fields.parse("order_id", order_id);
    let customer = fields.parse("customer_id", customer_id);
    fields.finish(id.zip(customer))
}

pub(super) fn list_orders(request: &wire::ListOrdersRequest) -> Result<PageRequest, Status> {
    let mut fields = Fields::default();
    let customer = fields.parse("customer_id", &request.customer_id);
    let size = match request.page_size {
        0 => Some(PAGE_SIZE_DEFAULT),
        size @ 1..=PAGE_SIZE_MAX => usize::try_from(size).ok(),
        _ => None,
    };
    if size.is_none() {
        fields.refuse("page_size", format!("must be 0 (for {PAGE_SIZE_DEFAULT}) to {PAGE_SIZE_MAX}"));
    }
    let mut before = None;
    if let Some(customer) = customer.filter(|_| !request.page_token.is_empty()) {
        match PageToken::decode(&request.page_token, customer) {
            Ok(token) => before = Some(token.last),
            Err(error) => fields.refuse("page_token", error),
        }
    }
    let value = customer.zip(size).map(|(customer, size)| PageRequest { customer, before, size });
    fields.finish(value)
}

pub(super) fn return_order(request: wire::ReturnOrderRequest) -> Result<ReturnRequest, Status> {
    let mut fields = Fields::default();
    let order = fields.parse("order_id", &request.order_id);
    let customer = fields.parse("customer_id", &request.customer_id);
    let idempotency_key = fields.name("idempotency_key", &request.idempotency_key);
    let lines = return_lines(&mut fields, &request.lines);
    let value = (|| {
        Some(ReturnRequest { order: order?, customer: customer?, idempotency_key: idempotency_key?, lines: lines? })
    })();
    fields.finish(value)
}

fn return_lines(fields: &mut Fields, lines: &[wire::ReturnLine]) -> Option<Vec<ReturnLine>> {
    if lines.is_empty() || lines.len() > LINES_MAX {
        fields.refuse("lines", format!("must be 1 to {LINES_MAX}"));
        return None;
    }
    let mut seen = HashSet::<OfferId>::with_capacity(lines.len());
    let mut checked = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        if line.quantity < 1 {
            fields.refuse(format!("lines[{index}].quantity"), "must be at least 1");
        }
        // Not `name`: it was sold under this name, whatever one may be called today.
        let Some(offer) = fields.parse::<OfferId>(&format!("lines[{index}].offer_id"), &line.offer_id) else {
            continue;
        };
        if !seen.insert(offer.clone()) {
            fields.refuse(format!("lines[{index}].offer_id"), "is there twice");
        }
        checked.push(ReturnLine { offer, quantity: line.quantity });
    }
    Some(checked)
}

#[cfg(test)]
mod tests {
    use chassis::status::field_violations;

    use super::*;

    fn of(offer: &str, key: &str) -> Result<ReturnRequest, Status> {
        return_order(wire::ReturnOrderRequest {
            order_id: OrderId::generate().to_string(),
            customer_id: CustomerId::generate().to_string(),
            idempotency_key: key.to_owned(),
            lines: vec![wire::ReturnLine { offer_id: offer.to_owned(), quantity: 1 }],
        })
    }

    #[test]
    fn what_was_sold_under_an_old_name_can_be_returned_and_nothing_new_is_named_so() {
        for old in ["..", "4242424242424242"] {
            assert_eq!(of(old, "k").unwrap().lines[0].offer.as_str(), old);
        }
        let refused = |offer, key| field_violations(&of(offer, key).unwrap_err()).remove(0).field;
        assert_eq!(refused("mug", "4242424242424242"), "idempotency_key");
        assert_eq!(refused("4242 4242 4242 4242", "k"), "lines[0].offer_id", "no offer was ever named so");
    }
}
