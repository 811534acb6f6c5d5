//! The largest legal message of every method, computed from the contracts, against the longest that a decoder takes; and of every event,
//! against the longest that the outbox takes.
//!
//! A text is as long as its rule allows, a number as long as its encoding, a list as long as [`LISTS`] says. A new list without a bound
//! there fails here: whoever adds one decides how long it may be.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

use std::collections::HashMap;

use limits::{
    AMOUNT_MINOR_MAX, ATTRIBUTES_MAX, CITY_CHARS_MAX, COUNTRY_CHARS_MAX, EVENT_BYTES_MAX, JOINED_LINE_PRICES_MAX,
    JOINED_LINES_MAX, JOINED_PRICES_MAX, KEY_BYTES_MAX, LINE_UNITS_MAX, LINES_MAX, MESSAGE_BYTES_MAX, NAME_BYTES_MAX,
    OFFER_BYTES_MAX, OPERATOR_CHARS_MAX, OPERATORS_PAGE_MAX, ORDERED_TWICE_MAX, PAGE_BYTES_MAX, POSTAL_CODE_CHARS_MAX,
    REASON_CHARS_MAX, REGIONS, TEXT_CHARS_MAX, VERSION_CHARS_MAX,
};
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// Tag of a field; its length, or the length of its number, comes on top.
const TAG_BYTES: usize = 2;
/// Bytes of a character of UTF-8 at most.
const CHAR_BYTES: usize = 4;
/// Entries of a page that an operator asks for.
const OPERATORS_PAGE: usize = OPERATORS_PAGE_MAX as usize;

/// How many entries a list has at most.
const LISTS: &[(&str, usize)] = &[
    ("cart.v1.Cart.lines", JOINED_LINES_MAX),
    ("cart.v1.Cart.ordered_twice", ORDERED_TWICE_MAX),
    ("cart.v1.OrderedTwice.order_ids", 2),
    ("cart.v1.Cart.delivery_addresses", REGIONS),
    ("cart.v1.CartLine.prices", JOINED_LINE_PRICES_MAX),
    ("cart.v1.BeginCheckoutResponse.lines", LINES_MAX),
    ("catalog.v1.Offer.attributes", ATTRIBUTES_MAX),
    ("catalog.v1.BatchGetOffersRequest.offer_ids", LINES_MAX),
    ("catalog.v1.BatchGetOffersResponse.missing_offer_ids", LINES_MAX),
    ("catalog.v1.BatchGetOffersResponse.left_out_offer_ids", LINES_MAX),
    ("inventory.v1.ReserveRequest.lines", LINES_MAX),
    ("inventory.v1.ReceiveStockRequest.lines", LINES_MAX),
    ("inventory.v1.BatchGetStockRequest.offer_ids", LINES_MAX),
    ("inventory.v1.BatchGetStockResponse.levels", LINES_MAX),
    ("inventory.v1.TransferRightsRequest.lines", LINES_MAX),
    ("inventory.v1.TransferRightsResponse.granted", LINES_MAX),
    ("order.v1.Order.lines", LINES_MAX),
    ("order.v1.OrderLine.prices", JOINED_LINE_PRICES_MAX),
    ("order.v1.OrderPlaced.lines", LINES_MAX),
    ("order.v1.OrderedLine.prices", JOINED_LINE_PRICES_MAX),
    ("order.v1.ReturnOrderRequest.lines", LINES_MAX),
    ("order.v1.ListOrdersResponse.unreachable_regions", REGIONS - 1),
    // Returns of one order that operators are shown.
    ("order.v1.OrderStanding.refunds", LINES_MAX),
    ("payment.v1.AuthoriseRequest.shares", LINES_MAX),
    ("payment.v1.RefundRequest.shares", LINES_MAX),
    // The largest page that operators may ask for, and the refunds of one order.
    ("payment.v1.ListParkedPaymentsResponse.parked", OPERATORS_PAGE),
    ("payment.v1.ListDifferencesResponse.differences", OPERATORS_PAGE),
    ("payment.v1.RetryPaymentResponse.retried", OPERATORS_PAGE),
];

/// Lists that have a bound over a whole message, however they are spread over its lines: the message, the list of each line, and how many
/// entries all of them have together.
const SHARED: &[(&str, &str, usize)] = &[
    (".cart.v1.Cart", "cart.v1.CartLine.prices", JOINED_PRICES_MAX),
    (".cart.v1.BeginCheckoutResponse", "cart.v1.CartLine.prices", JOINED_PRICES_MAX),
    (".order.v1.Order", "order.v1.OrderLine.prices", JOINED_PRICES_MAX),
    (".order.v1.OrderPlaced", "order.v1.OrderedLine.prices", JOINED_PRICES_MAX),
];

/// Lists that are cut to so many bytes, however many entries that are; by those who make them, in this workspace.
const CUT_TO_BYTES: &[(&str, usize)] = &[
    ("catalog.v1.ListOffersResponse.offers", PAGE_BYTES_MAX),
    ("catalog.v1.BatchGetOffersResponse.offers", PAGE_BYTES_MAX),
    ("order.v1.ListOrdersResponse.orders", PAGE_BYTES_MAX),
    ("order.v1.ListParkedOrdersResponse.orders", PAGE_BYTES_MAX),
    // What is loaded in one request is as much as a message holds; the contract says so.
    // Beside them, the key.
    ("catalog.v1.UpsertOffersRequest.offers", MESSAGE_BYTES_MAX - 512),
];

/// Methods whose messages are cut to bytes by the rules of replication, in `services/cart/src/replication`.
const BOUNDED_ELSEWHERE: &[&str] = &["cart.v1.CartReplicationService"];

/// Longest text of a field, in bytes.
fn text_bytes(field: &str) -> usize {
    match field {
        "title" | "recipient" | "street" | "key" | "value" => TEXT_CHARS_MAX * CHAR_BYTES,
        "city" => CITY_CHARS_MAX * CHAR_BYTES,
        "country" => COUNTRY_CHARS_MAX * CHAR_BYTES,
        "postal_code" => POSTAL_CODE_CHARS_MAX * CHAR_BYTES,
        "operator" => OPERATOR_CHARS_MAX * CHAR_BYTES,
        // A bound for what people say. What services say has none of its own, and is taken to be no longer.
        "reason" | "parked_reason" | "rejection_reason" | "detail" | "description" | "message" => {
            REASON_CHARS_MAX * CHAR_BYTES
        }
        "cart_version" | "version" => VERSION_CHARS_MAX,
        "currency_code" => 3,
        "offer_id" | "seller_id" | "offer_ids" | "missing_offer_ids" | "left_out_offer_ids" => NAME_BYTES_MAX,
        // UUIDs.
        "order_id" | "order_ids" | "cart_id" | "owner_id" | "customer_id" => 36,
        _ => KEY_BYTES_MAX * 2,
    }
}

/// Longest number of a field, in bytes.
fn number_bytes(field: &str) -> usize {
    match field {
        "minor_units" => varint_bytes(AMOUNT_MINOR_MAX.unsigned_abs()),
        "quantity" | "returned_quantity" => varint_bytes(LINE_UNITS_MAX.unsigned_abs()),
        _ => varint_bytes(u64::MAX),
    }
}

/// Bytes of a number as it is encoded.
fn varint_bytes(number: u64) -> usize {
    (64 - number.max(1).leading_zeros()).div_ceil(7) as usize
}

/// Something of so many bytes with its length before it.
fn with_length(bytes: usize) -> usize {
    bytes + varint_bytes(bytes as u64)
}

struct Contracts {
    messages: HashMap<String, DescriptorProto>,
    unknown_lists: Vec<String>,
    /// The lists of [`SHARED`] that a message around has room for.
    shared: Vec<&'static str>,
}

impl Contracts {
    fn of(set: &FileDescriptorSet) -> Self {
        let mut messages = HashMap::new();
        for file in &set.file {
            for message in &file.message_type {
                let name = format!(".{}.{}", file.package(), message.name());
                for nested in &message.nested_type {
                    messages.insert(format!("{name}.{}", nested.name()), nested.clone());
                }
                messages.insert(name, message.clone());
            }
        }
        Self { messages, unknown_lists: Vec::new(), shared: Vec::new() }
    }

    /// Bytes of the largest message called `name`, such as `.order.v1.Order`.
    fn largest(&mut self, name: &str, depth: usize) -> usize {
        assert!(depth < 16, "{name} holds itself");
        let message = self.messages.get(name).unwrap_or_else(|| panic!("no message {name}")).clone();
        let shared = SHARED.iter().find(|(whole, _, _)| *whole == name);
        let room = shared.map_or(0, |(_, list, entries)| entries * self.largest_entry(list, depth));
        self.shared.extend(shared.map(|(_, list, _)| *list));
        let fields: usize =
            message.field.iter().map(|field| self.largest_field(name.trim_start_matches('.'), field, depth)).sum();
        if shared.is_some() {
            self.shared.pop();
        }
        room + fields
    }

    /// Bytes of the largest entry of a list such as `order.v1.OrderLine.prices`.
    fn largest_entry(&mut self, list: &str, depth: usize) -> usize {
        let (message, name) = list.rsplit_once('.').unwrap();
        let field = self.messages[&format!(".{message}")].field.iter().find(|field| field.name() == name).unwrap();
        let entry = field.type_name().to_owned();
        TAG_BYTES + with_length(self.largest(&entry, depth + 1))
    }

    fn assert_all_lists_are_bounded(&self) {
        assert_eq!(
            self.unknown_lists, [""; 0],
            "lists without a bound: say in LISTS, or in CUT_TO_BYTES, how long each may be"
        );
    }

    fn largest_field(&mut self, message: &str, field: &FieldDescriptorProto, depth: usize) -> usize {
        let name = format!("{message}.{}", field.name());
        if self.shared.contains(&name.as_str()) {
            return 0;
        }
        let one = TAG_BYTES
            + match field.r#type() {
                Type::String | Type::Bytes => with_length(text_bytes(field.name())),
                Type::Message => with_length(self.largest(field.type_name(), depth + 1)),
                _ => number_bytes(field.name()),
            };
        if let Some((_, bytes)) = CUT_TO_BYTES.iter().find(|(list, _)| *list == name) {
            // A page is never empty: one entry that is larger has it for itself.
            return one.max(*bytes);
        }
        if field.label() != Label::Repeated {
            return one;
        }
        match LISTS.iter().find(|(list, _)| *list == name) {
            Some((_, entries)) => entries * one,
            None => {
                self.unknown_lists.push(name);
                0
            }
        }
    }
}

#[test]
fn the_largest_message_of_every_method_is_one_that_is_decoded() {
    let set = FileDescriptorSet::decode(contracts::DESCRIPTORS).unwrap();
    let mut contracts = Contracts::of(&set);
    let mut methods = 0;
    for file in &set.file {
        for service in &file.service {
            if BOUNDED_ELSEWHERE.contains(&format!("{}.{}", file.package(), service.name()).as_str()) {
                continue;
            }
            for method in &service.method {
                for message in [method.input_type(), method.output_type()] {
                    let bytes = contracts.largest(message, 0);
                    assert!(bytes <= MESSAGE_BYTES_MAX, "{message} of {} may have {bytes} bytes", method.name());
                }
                methods += 1;
            }
        }
    }
    assert!(methods > 20, "{methods} methods: the contracts were not read");
    contracts.assert_all_lists_are_bounded();
    let offer = contracts.largest(".catalog.v1.Offer", 0);
    assert!(offer <= OFFER_BYTES_MAX, "an offer may have {offer} bytes");
}

#[test]
fn the_largest_event_of_every_topic_is_one_that_the_outbox_takes() {
    let set = FileDescriptorSet::decode(contracts::DESCRIPTORS).unwrap();
    let mut contracts = Contracts::of(&set);
    let mut events = 0;
    for file in set.file.iter().filter(|file| file.name().ends_with("_events.proto")) {
        for message in &file.message_type {
            let bytes = contracts.largest(&format!(".{}.{}", file.package(), message.name()), 0);
            assert!(bytes <= EVENT_BYTES_MAX, "{} may have {bytes} bytes", message.name());
            events += 1;
        }
    }
    assert!(events > 5, "{events} events: the contracts were not read");
    contracts.assert_all_lists_are_bounded();
}
