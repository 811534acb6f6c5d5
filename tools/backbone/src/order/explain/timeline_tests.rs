//! An order told from beginning to end.

use super::super::sample::{at, captured, event_of, record};
use super::*;

fn told(facts: &Facts) -> Vec<String> {
    of(facts).into_iter().map(|moment| format!("{} {}", moment.place, moment.what)).collect()
}

#[test]
fn an_order_is_told_from_the_cut_to_the_ledger() {
    let facts = captured();
    let told = told(&facts);
    let expected = [
        "east cart checkout begun",
        "east order accepted under the key \"order\"",
        "east inventory reserved 2 × board; it is committed",
        "east payment authorisation of 69.00 EUR asked for",
        "provider, east authorised 69.00 EUR, pi_1, line 7, key authorise:",
        "east order order.placed.v1 decided",
        "east Kafka order.placed.v1 at order.placed.v1/2/10",
        "east inbox inventory applied order.placed.v1: the reservation is a sale",
        "west Kafka order.placed.v1 at order.placed.v1/2/4",
        "east order order.shipped.v1 decided",
        "east inbox payment applied order.shipped.v1",
        "provider, east captured 69.00 EUR",
        "east ledger capture posted: psp_receivable 69.00 EUR, seller_payable:s -69.00 EUR",
        "east inbox order applied payment.captured.v1",
    ];
    let mut lines = told.iter();
    for part in expected {
        assert!(lines.any(|line| line.contains(part)), "{part:?} is not in its place in\n{}", told.join("\n"));
    }
}

#[test]
fn what_is_published_again_is_told_once_with_all_its_places() {
    let mut facts = captured();
    let event = event_of(&facts, "order.placed.v1");
    // Read first, published last: partitions are read in any order.
    facts.records.insert(0, record(Region::East, &event, 12, at(900)));
    let told = told(&facts);
    let published: Vec<&String> = told.iter().filter(|line| line.contains("east Kafka order.placed.v1")).collect();
    assert_eq!(published, ["east Kafka order.placed.v1 at order.placed.v1/2/10, 2 times: also at 2/12"]);
}

#[test]
fn moments_stand_in_the_order_of_their_time_and_those_of_one_time_in_that_of_their_causes() {
    let mut facts = captured();
    facts.checkouts[0].is.begun_at = facts.order.created_at;
    let moments = of(&facts);
    assert!(moments.is_sorted_by_key(|moment| moment.at));
    assert_eq!((moments[0].place.as_str(), moments[1].place.as_str()), ("east cart", "east order"));
}

#[test]
fn an_event_is_decided_before_it_is_published_though_kafkas_time_is_the_coarser() {
    let mut facts = captured();
    for record in &mut facts.records {
        record.is.event.at = at(20) + chrono::TimeDelta::microseconds(700);
        record.is.published_at = Some(at(20));
    }
    let told = told(&facts);
    let place = |what: &str| told.iter().position(|line| line.contains(what));
    assert!(place("order.placed.v1 decided") < place("east Kafka order.placed.v1"), "{told:#?}");
}
