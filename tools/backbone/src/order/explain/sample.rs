//! An order that went all the way, and one that has not yet; the tests doctor them.

use chrono::{DateTime, TimeDelta, Utc};
use ids::{EventId, OrderId, Region};
use uuid::Uuid;

use super::databases::cart::Checkout;
use super::databases::inventory::Reservation;
use super::databases::order::{Line, Order};
use super::databases::payment::{Entry, Payment};
use super::events::Record;
use super::facts::{Event, Facts, In};
use super::ledger::{Intent, LedgerLine};
use crate::dlq::{Letter, Place};
use crate::spine::consumers::Consumer;
use crate::spine::inbox::Applied;

/// So many milliseconds after the order began.
pub fn at(milliseconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds)
}

fn east<T>(is: T) -> In<T> {
    In { region: Region::East, is }
}

/// Shipped and captured, every event in both Kafkas and applied.
pub fn captured() -> Facts {
    let mut facts = pending();
    let order = &mut facts.order;
    (order.state, order.captured, order.drive_after) = ("shipped".to_owned(), true, None);
    for checkout in &mut facts.checkouts {
        checkout.is.state = "ordered".to_owned();
    }
    facts.checkouts.push(In { region: Region::West, is: checkout(false, "ordered", 50) });
    facts.reservations[0].is.state = "committed".to_owned();
    let intent = Some("pi_1".to_owned());
    facts.payments.push(east(Payment {
        state: "captured".to_owned(),
        amount_minor: Some(6_900),
        currency: Some("EUR".to_owned()),
        intent_id: intent,
        decline_code: None,
        attempts: 1,
        due_at: None,
        traceparent: None,
        created_at: at(10),
        updated_at: at(130),
    }));
    facts.ledger = vec![ledger_line("authorised", 7, 12), ledger_line("captured", 8, 120)];
    facts.entries.push(east(Entry {
        kind: "capture".to_owned(),
        currency: "EUR".to_owned(),
        posted_at: at(130),
        accounts: vec!["psp_receivable".to_owned(), "seller_payable:s".to_owned()],
        amounts: vec![6_900, -6_900],
    }));
    say(&mut facts, "order.placed.v1", "order", 20);
    say(&mut facts, "order.shipped.v1", "order", 100);
    say(&mut facts, "payment.captured.v1", "payment", 130);
    facts
}

/// Reserved, and its payment not asked for yet.
pub fn pending() -> Facts {
    let order = Order {
        cart_id: Uuid::from_u128(1),
        idempotency_key: "order".to_owned(),
        home_region: "east".to_owned(),
        state: "pending".to_owned(),
        unwind_from: None,
        refusal_reason: None,
        refusal_message: None,
        currency: "EUR".to_owned(),
        total_minor: 6_900,
        captured: false,
        refunded_minor: 0,
        drive_after: Some(at(10_000)),
        fence: 1,
        parked_at: None,
        parked_reason: None,
        attempts: 0,
        ship_at: None,
        traceparent: Some(format!("00-{}-00f067aa0ba902b7-01", "ab".repeat(16))),
        created_at: at(3),
    };
    let offer_id = "board".to_owned();
    let lines = vec![Line { offer_id, unit_price_minor: 3_450, quantity: 2, prices: None, returned_quantity: 0 }];
    let mut facts = Facts::new(at(10_000), OrderId::generate(), Region::East, (order, lines, Vec::new(), Vec::new()));
    facts.checkouts.push(east(checkout(true, "undecided", 0)));
    facts.reservations.push(east(Reservation {
        state: "reserved".to_owned(),
        release_cause: None,
        is_tombstone: false,
        expires_at: at(900_000),
        created_at: at(6),
        lines: Some("2 × board".to_owned()),
    }));
    facts
}

fn checkout(begun_here: bool, state: &str, begun: i64) -> Checkout {
    Checkout { state: state.to_owned(), begun_here, begun_at: at(begun) }
}

fn ledger_line(what: &str, n: u64, time: i64) -> LedgerLine {
    LedgerLine {
        n,
        at: at(time),
        account: "east".to_owned(),
        key: format!("{}:an order", if what == "captured" { "capture" } else { "authorise" }),
        event: None,
        what: format!("payment_intent.{what}"),
        intent: Some(Intent {
            id: "pi_1".to_owned(),
            amount: 6_900,
            amount_captured: 6_900,
            currency: "EUR".to_owned(),
            reference: "an order".to_owned(),
        }),
        refund: None,
        reference: None,
        amount: None,
        currency: None,
        decline_code: None,
    }
}

/// Puts an event decided at `time` into both Kafkas and the inboxes of its consumers.
fn say(facts: &mut Facts, topic: &str, service: &str, time: i64) {
    let event = Event {
        id: EventId::generate(),
        topic: topic.to_owned(),
        at: at(time),
        service: service.to_owned(),
        home: Region::East,
        traceparent: facts.order.traceparent.clone(),
    };
    facts.records.push(record(Region::East, &event, 10, at(time + 5)));
    facts.records.push(record(Region::West, &event, 4, at(time + 60)));
    let applied =
        |consumer: &Consumer| Applied { consumer: consumer.group.to_owned(), event: event.id, at: at(time + 9) };
    facts.applied.extend(Consumer::of_topic(topic).map(|(consumer, _)| east(applied(consumer))));
}

/// A record of an event in partition 2.
pub fn record(region: Region, event: &Event, offset: i64, published_at: DateTime<Utc>) -> In<Record> {
    let is = Record { event: event.clone(), partition: 2, offset, published_at: Some(published_at) };
    In { region, is }
}

/// The order's event of that topic.
pub fn event_of(facts: &Facts, topic: &str) -> Event {
    facts.events().into_iter().find(|event| event.topic == topic).unwrap_or_else(|| panic!("no {topic}"))
}

/// A letter of the payment service about an event, at an offset.
pub fn letter_about(event: EventId, offset: i64) -> Letter {
    Letter {
        position: Place { topic: "order.shipped.v1", partition: 2, offset }.of(Region::East),
        consumer: "payment".to_owned(),
        class: "poison".to_owned(),
        reason: "told to be".to_owned(),
        origin: Some((2, 10 + offset)),
        refused_at: Some(at(200 + offset)),
        event: Some(event),
        key: None,
        is_abridged: false,
    }
}
