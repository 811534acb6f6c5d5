//! Whether the order is settled, and what it waits for. Pure.
//!
//! Settled means what the audit means by it: nothing about the order will change by itself, and nothing that should have happened is
//! missing.

use ids::Region;
use serde::Serialize;

use super::databases::order::Twins;
use super::facts::{Event, Facts, In};
use super::heading::{clock, money, span};
use crate::dlq::Letter;
use crate::spine::consumers::Consumer;

/// What it comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Settled,
    /// For these.
    Waits(Vec<String>),
    /// Nothing is known to be missing, and not everything is known.
    Unknown,
}

/// What moves on what is parked.
const DECIDE: &str = "a person must decide, with backbone order retry or backbone order compensate";

/// Judges.
pub fn verdict(facts: &Facts) -> Verdict {
    let parts = [one_home, order, twins, returns, payments, stock, carts, outboxes, events, letters];
    let waits: Vec<String> = parts.iter().flat_map(|part| part(facts)).collect();
    match waits.is_empty() {
        false => Verdict::Waits(waits),
        true if facts.unread.is_empty() => Verdict::Settled,
        true => Verdict::Unknown,
    }
}

fn one_home(facts: &Facts) -> Vec<String> {
    let told = |other| {
        let home = facts.home;
        format!(
            "a person: {other} has an order under this id too, and only its home, {home}, may; compare what each charged and shipped \
             (backbone audit), and settle the second charge with the provider"
        )
    };
    facts.also_in.map(told).into_iter().collect()
}

fn twins(facts: &Facts) -> Vec<String> {
    let open = facts.twins.iter().map(|one| &one.is).filter(|one| one.undone_at.is_none());
    let told = |one: &Twins| match one.order_id == facts.order_id.as_uuid() {
        true => format!("itself to be undone: {}, made of the same request, stands in its place", one.by_order_id),
        false => format!("{}, made of the same request, to be undone", one.order_id),
    };
    open.map(told).collect()
}

fn order(facts: &Facts) -> Vec<String> {
    let order = &facts.order;
    let work = match (order.state.as_str(), order.drive_after.is_some() || order.parked_at.is_some()) {
        ("pending", _) => "its saga to be driven to the end",
        ("compensating", _) => "its saga to be unwound",
        ("cancelled", true) => "its payment to be voided",
        ("placed", _) => return vec![shipping(facts)],
        ("shipped", _) if !order.captured => {
            return vec!["its money: shipped, and not known to be captured".to_owned()];
        }
        _ => return Vec::new(),
    };
    vec![match (order.parked_at, order.drive_after) {
        (Some(at), _) => {
            let reason = order.parked_reason.as_deref().unwrap_or_default();
            format!("{work}, but it is parked since {} ({reason}): {DECIDE}", clock(at))
        }
        (None, Some(after)) if after > facts.now => {
            format!("{work}; it is held, or put off, for {} more", span(after - facts.now))
        }
        _ => format!("{work}; anybody may take it up"),
    }]
}

fn shipping(facts: &Facts) -> String {
    match facts.order.ship_at {
        None => "fulfilment to schedule it".to_owned(),
        Some(at) if at > facts.now => format!("its shipping at {}, in {}", clock(at), span(at - facts.now)),
        Some(at) => format!("its shipping, due since {}", clock(at)),
    }
}

fn returns(facts: &Facts) -> Vec<String> {
    let open = facts.returns.iter().filter(|one| one.state == "requested");
    let told = |one: &super::databases::order::Return| {
        let next = match (&one.parked_reason, one.drive_after) {
            (Some(reason), _) => format!("it is parked ({reason}): {DECIDE}"),
            (None, Some(after)) if after > facts.now => {
                format!("it is held, or put off, for {} more, after {} turns", span(after - facts.now), one.attempts)
            }
            _ => "anybody may take it up".to_owned(),
        };
        let amount = money(one.amount_minor, &facts.order.currency);
        format!("return {} to be refunded, {amount}; {next}", one.return_id)
    };
    open.map(told).collect()
}

fn payments(facts: &Facts) -> Vec<String> {
    // What is in flight has a time at which it is taken up again, and nothing else has.
    let payments = facts.payments.iter().filter_map(|In { region, is }| {
        is.due_at.map(|due| format!("its {region} payment, which is {}; taken up again at {}", is.state, clock(due)))
    });
    let refunds = facts.refunds.iter().filter_map(|In { region, is }| {
        let id = is.refund_id;
        is.due_at
            .map(|due| format!("its {region} refund {id}, which is {}; taken up again at {}", is.state, clock(due)))
    });
    payments.chain(refunds).collect()
}

fn stock(facts: &Facts) -> Vec<String> {
    let transfers = facts.transfers_in.iter().filter(|one| one.is.state == "pending").map(|In { region, is }| {
        format!("the rights that {region} asked for; it asks again at {}", clock(is.ask_again_at))
    });
    // Of an order that stands, the consumer of its event says so.
    let held = facts.reservations.iter().filter(|one| facts.order.state == "rejected" && one.is.state == "reserved");
    let held = held.map(|In { region, is }| {
        format!("its units in {region} to be let go: rejected, and still reserved until {}", clock(is.expires_at))
    });
    transfers.chain(held).collect()
}

fn carts(facts: &Facts) -> Vec<String> {
    if matches!(facts.order.state.as_str(), "pending" | "compensating") {
        return Vec::new();
    }
    let undecided = facts.checkouts.iter().filter(|one| one.is.state == "undecided");
    undecided.map(|one| format!("the {} cart to hear that the order is {}", one.region, facts.order.state)).collect()
}

fn outboxes(facts: &Facts) -> Vec<String> {
    let told = |In { region, is }: &In<super::databases::outbox::Waiting>| {
        let age = span(facts.now - is.event.at);
        format!(
            "{} to leave the {} of {region} {}, where it has been for {age}",
            is.event.topic, is.table, is.event.service
        )
    };
    facts.waiting.iter().map(told).collect()
}

/// What should have been said and was not, and who has not heard it.
fn events(facts: &Facts) -> Vec<String> {
    let events = facts.events();
    let mut waits = Vec::new();
    for (topic, expected) in expected(facts) {
        let said = events.iter().filter(|event| event.topic == topic).count();
        let is_known = Region::ALL.into_iter().any(|region| facts.knows_all(region, topic));
        if said < expected && is_known {
            waits.push(format!("{topic}: {said} of {expected} are in an outbox or in a Kafka"));
        }
    }
    for event in &events {
        waits.extend(Region::ALL.iter().filter_map(|region| unpublished(facts, event, *region)));
        if !facts.inboxes_unread.contains(&event.home) && !facts.places(event.id, event.home).is_empty() {
            waits.extend(unapplied(facts, event));
        }
    }
    waits
}

/// Topics, and how many events of each the order must have.
fn expected(facts: &Facts) -> [(&'static str, usize); 5] {
    let state = facts.order.state.as_str();
    let is_captured = facts.payments.iter().any(|payment| payment.is.state == "captured");
    let refunds = facts.refunds.iter().filter(|refund| refund.is.state == "succeeded").count();
    [
        ("order.placed.v1", usize::from(matches!(state, "placed" | "shipped" | "cancelled"))),
        ("order.cancelled.v1", usize::from(state == "cancelled")),
        ("order.shipped.v1", usize::from(state == "shipped")),
        ("payment.captured.v1", usize::from(is_captured)),
        ("payment.refunded.v1", refunds),
    ]
}

/// An event that is not in a Kafka and has no way left to come there.
fn unpublished(facts: &Facts, event: &Event, region: Region) -> Option<String> {
    let on_its_way = facts.waiting.iter().any(|waiting| waiting.is.event.id == event.id);
    let is_missing = facts.places(event.id, region).is_empty() && !on_its_way && facts.knows_all(region, &event.topic);
    is_missing.then(|| format!("{} in the {region} Kafka, where it is not, and no outbox has it", event.topic))
}

fn unapplied(facts: &Facts, event: &Event) -> Vec<String> {
    let has_applied = |consumer: &str| {
        let rows = facts.applied.iter().filter(|one| one.region == event.home);
        rows.into_iter().any(|one| one.is.event == event.id && one.is.consumer == consumer)
    };
    let has_refused = |consumer: &str| {
        open_letters(facts).any(|letter| letter.event == Some(event.id) && letter.consumer == consumer)
    };
    let consumers = Consumer::of_topic(&event.topic).map(|(consumer, _)| consumer.group);
    let missing = consumers.filter(|consumer| !has_applied(consumer) && !has_refused(consumer));
    missing.map(|consumer| format!("{} {consumer} to apply {}", event.home, event.topic)).collect()
}

fn open_letters(facts: &Facts) -> impl Iterator<Item = &Letter> {
    facts.letters.iter().filter(|(_, applied)| applied.is_none()).map(|(letter, _)| letter)
}

/// Each matter once: its last letter is the one to replay.
fn letters(facts: &Facts) -> Vec<String> {
    let is_last = |letter: &&Letter| {
        let same = open_letters(facts).filter(|other| other.matter() == letter.matter());
        same.map(|other| (other.refused_at, other.position)).max() == Some((letter.refused_at, letter.position))
    };
    let told = |letter: &Letter| {
        let Letter { consumer, position, reason, .. } = letter;
        format!(
            "its dead letter {position}: {consumer} refused it ({reason}); mend that, then backbone dlq replay {position}"
        )
    };
    open_letters(facts).filter(is_last).map(told).collect()
}

#[cfg(test)]
#[path = "waits_tests.rs"]
mod tests;
