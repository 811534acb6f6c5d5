//! What happened, by time. Pure.
//!
//! Times are those of whoever wrote them down: of a database, of Kafka's producer, of the provider. Between them a few milliseconds mean
//! nothing.

use chrono::{DateTime, Utc};
use ids::Region;
use serde::Serialize;

use super::facts::{Facts, In};
use super::heading::{items, money};
use super::ledger::LedgerLine;
use crate::spine::consumers::Consumer;

/// Accounts named of an entry of the journal: an order of many sellers has one for each.
const ACCOUNTS_MAX: usize = 6;
/// Repeats of a record whose place is told.
const PLACES_MAX: usize = 4;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    pub at: DateTime<Utc>,
    /// Who tells it: `east order`, `west Kafka`, `provider`.
    pub place: String,
    pub what: String,
}

fn moment(at: DateTime<Utc>, place: impl Into<String>, what: impl Into<String>) -> Moment {
    Moment { at, place: place.into(), what: what.into() }
}

/// Everything that has a time, in its order. What happened at one time stands in the order of its causes.
pub fn of(facts: &Facts) -> Vec<Moment> {
    let parts = [
        checkouts, order, actions, stock, payments, provider, webhooks, journal, returns, events, inboxes, letters,
        logs,
    ];
    let mut moments: Vec<Moment> = parts.iter().flat_map(|part| part(facts)).collect();
    // By the millisecond, since Kafka's times are no finer; and stable, since the parts stand in the order of causes.
    moments.sort_by_key(|moment| moment.at.timestamp_millis());
    moments
}

fn checkouts(facts: &Facts) -> Vec<Moment> {
    let told = |In { region, is }: &In<super::databases::cart::Checkout>| {
        let what =
            if is.begun_here { "checkout begun: the cart is cut" } else { "the cut came over from the other region" };
        moment(is.begun_at, format!("{region} cart"), format!("{what}; it is {}", is.state))
    };
    facts.checkouts.iter().map(told).collect()
}

fn order(facts: &Facts) -> Vec<Moment> {
    let what = format!("accepted under the key {:?}; the saga begins", facts.order.idempotency_key);
    vec![moment(facts.order.created_at, format!("{} order", facts.home), what)]
}

fn actions(facts: &Facts) -> Vec<Moment> {
    let told = |action: &super::databases::order::Action| {
        let what = format!("{} by {}: {}", action.action, action.operator, action.reason);
        moment(action.acted_at, "operator", what)
    };
    let parked = facts.order.parked_at.map(|at| {
        let reason = facts.order.parked_reason.as_deref().unwrap_or_default();
        moment(at, format!("{} order", facts.home), format!("the saga is parked: {reason}"))
    });
    facts.actions.iter().map(told).chain(parked).collect()
}

fn stock(facts: &Facts) -> Vec<Moment> {
    let mut moments = Vec::new();
    for In { region, is } in &facts.transfers_in {
        let what = format!("asked the other region for rights; {}: {}", is.state, items(is.lines.as_deref()));
        moments.push(moment(is.created_at, format!("{region} inventory"), what));
    }
    for In { region, is } in &facts.transfers_out {
        let what = format!("gave up {} units to {} (transfer {})", is.granted_units, is.to_region, is.transfer_id);
        moments.push(moment(is.granted_at, format!("{region} inventory"), what));
    }
    for In { region, is } in &facts.reservations {
        let what = if is.is_tombstone {
            "let go before it was reserved; a late reservation is refused".to_owned()
        } else {
            format!("reserved {}", items(is.lines.as_deref()))
        };
        let cause = is.release_cause.as_ref().map(|cause| format!(" ({cause})")).unwrap_or_default();
        let state = format!("; it is {}{cause}", is.state);
        moments.push(moment(is.created_at, format!("{region} inventory"), what + &state));
    }
    moments
}

fn payments(facts: &Facts) -> Vec<Moment> {
    let mut moments = Vec::new();
    for In { region, is } in &facts.payments {
        let place = || format!("{region} payment");
        let begun = match (is.amount_minor, &is.currency) {
            (Some(amount), Some(currency)) => format!("authorisation of {} asked for", money(amount, currency)),
            _ => "voided before it was authorised; a late authorisation is refused".to_owned(),
        };
        moments.push(moment(is.created_at, place(), begun));
        let declined = is.decline_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        let intent = is.intent_id.as_ref().map(|intent| format!(", {intent}")).unwrap_or_default();
        let what = format!("last written: {}{declined}{intent}{}", is.state, attempts(is.attempts));
        moments.push(moment(is.updated_at, place(), what));
    }
    for In { region, is } in &facts.refunds {
        let place = || format!("{region} payment");
        let amount = money(is.amount_minor, &facts.order.currency);
        moments.push(moment(is.created_at, place(), format!("refund {} of {amount} accepted", is.refund_id)));
        let provider = is.provider_refund_id.as_ref().map(|id| format!(", {id}")).unwrap_or_default();
        let what = format!("refund last written: {}{provider}{}", is.state, attempts(is.attempts));
        moments.push(moment(is.updated_at, place(), what));
    }
    moments
}

fn attempts(claims: i32) -> String {
    if claims > 1 { format!(", claimed {claims} times for this step") } else { String::new() }
}

fn provider(facts: &Facts) -> Vec<Moment> {
    let told = |line: &LedgerLine| {
        let key = &line.key;
        // An account of another region would be a charge by the wrong one.
        moment(line.at, format!("provider, {}", line.account), format!("{}, line {}, key {key}", deed(line), line.n))
    };
    facts.ledger.iter().map(told).collect()
}

/// What a line of the provider's ledger says, with the amount that it moved.
fn deed(line: &LedgerLine) -> String {
    let currency = line.intent.as_ref().map(|intent| &intent.currency).or(line.currency.as_ref());
    let amount = |minor| money(minor, currency.map_or("", String::as_str));
    let intent = line.intent.as_ref();
    match line.what.as_str() {
        "payment_intent.authorised" => {
            let (held, id) = intent.map(|intent| (amount(intent.amount), intent.id.as_str())).unwrap_or_default();
            format!("authorised {held}, {id}")
        }
        "payment_intent.declined" => {
            let code = line.decline_code.as_deref().unwrap_or("without a reason");
            format!("declined {} ({code})", line.amount.map(amount).unwrap_or_default())
        }
        "payment_intent.captured" => {
            format!("captured {}", intent.map(|intent| amount(intent.amount_captured)).unwrap_or_default())
        }
        "payment_intent.canceled" => "let the hold go".to_owned(),
        "refund.succeeded" => {
            let (paid, id) =
                line.refund.as_ref().map(|refund| (amount(refund.amount), refund.id.as_str())).unwrap_or_default();
            format!("paid back {paid}, {id}")
        }
        other => other.to_owned(),
    }
}

fn webhooks(facts: &Facts) -> Vec<Moment> {
    let told = |In { region, is }: &In<super::databases::payment::Webhook>| {
        let line = facts.ledger.iter().find(|line| line.event.as_ref() == Some(&is.event_id));
        let about = line.map(|line| format!(", {}", line.what)).unwrap_or_default();
        moment(is.received_at, format!("{region} payment"), format!("webhook {}{about}: acted upon", is.event_id))
    };
    facts.webhooks.iter().map(told).collect()
}

fn journal(facts: &Facts) -> Vec<Moment> {
    let told = |In { region, is }: &In<super::databases::payment::Entry>| {
        let postings = is.accounts.iter().zip(&is.amounts);
        let mut postings: Vec<String> =
            postings.map(|(account, amount)| format!("{account} {}", money(*amount, &is.currency))).collect();
        let more = postings.len().saturating_sub(ACCOUNTS_MAX);
        postings.truncate(ACCOUNTS_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        moment(is.posted_at, format!("{region} ledger"), format!("{} posted: {}{more}", is.kind, postings.join(", ")))
    };
    facts.entries.iter().map(told).collect()
}

fn returns(facts: &Facts) -> Vec<Moment> {
    let told = |one: &super::databases::order::Return| {
        let amount = money(one.amount_minor, &facts.order.currency);
        let what = format!(
            "return {} under the key {:?}: {}, {amount}; it is {}",
            one.return_id,
            one.idempotency_key,
            items(one.lines.as_deref()),
            one.state
        );
        moment(one.created_at, format!("{} order", facts.home), what)
    };
    facts.returns.iter().map(told).collect()
}

/// The deciding of each event, and its first publication in each Kafka with the places of all.
fn events(facts: &Facts) -> Vec<Moment> {
    let mut moments = Vec::new();
    for event in facts.events() {
        let what = format!("{} decided, event {}", event.topic, event.id);
        moments.push(moment(event.at, format!("{} {}", event.home, event.service), what));
        for region in Region::ALL {
            let places = facts.places(event.id, region);
            let Some(first) = places.first() else { continue };
            let topic = &event.topic;
            let mut what = format!("{topic} at {topic}/{}/{}", first.partition, first.offset);
            if places.len() > 1 {
                let also = places.iter().skip(1).take(PLACES_MAX);
                let also: Vec<String> = also.map(|place| format!("{}/{}", place.partition, place.offset)).collect();
                let more = if places.len() > PLACES_MAX + 1 { ", …" } else { "" };
                what.push_str(&format!(", {} times: also at {}{more}", places.len(), also.join(", ")));
            }
            moments.push(moment(first.published_at.unwrap_or(event.at), format!("{region} Kafka"), what));
        }
    }
    moments
}

fn inboxes(facts: &Facts) -> Vec<Moment> {
    let events = facts.events();
    let told = |In { region, is }: &In<crate::spine::inbox::Applied>| {
        let topic = events.iter().find(|event| event.id == is.event).map_or("an event", |event| event.topic.as_str());
        let effect = Consumer::named(&is.consumer).and_then(|consumer| consumer.effect(topic)).unwrap_or("done");
        moment(is.at, format!("{region} inbox"), format!("{} applied {topic}: {effect}", is.consumer))
    };
    facts.applied.iter().map(told).collect()
}

fn letters(facts: &Facts) -> Vec<Moment> {
    let told = |(letter, applied): &(crate::dlq::Letter, Option<DateTime<Utc>>)| {
        let state = if applied.is_some() { "settled" } else { "open" };
        let what = format!("{} refused it ({}): {}", letter.consumer, letter.class, letter.reason);
        let place = format!("{} dlq", letter.position.region);
        moment(letter.refused_at.unwrap_or(facts.now), place, format!("{what}; {}, {state}", letter.position))
    };
    facts.letters.iter().map(told).collect()
}

fn logs(facts: &Facts) -> Vec<Moment> {
    let lines = facts.logs.iter();
    lines.map(|line| moment(line.at, format!("{} {} log", line.region, line.service), line.text.clone())).collect()
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
