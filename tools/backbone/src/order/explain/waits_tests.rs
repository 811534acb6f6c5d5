//! What an order waits for that lacks one thing.

use super::super::databases::outbox::Waiting;
use super::super::sample::{captured, event_of, letter_about};
use super::*;
use chrono::TimeDelta;

/// What an order waits for that was captured but for this.
fn waits(doctor: impl FnOnce(&mut Facts)) -> Vec<String> {
    let mut facts = captured();
    doctor(&mut facts);
    match verdict(&facts) {
        Verdict::Waits(waits) => waits,
        other => vec![format!("{other:?}")],
    }
}

#[test]
fn an_order_that_went_all_the_way_is_settled() {
    assert_eq!(waits(|_| ()), ["Settled"]);
}

#[test]
fn what_cannot_be_read_leaves_it_open_and_what_is_known_to_be_missing_does_not() {
    let lose = |facts: &mut Facts| facts.unread.push("the west Kafka".to_owned());
    assert_eq!(waits(lose), ["Unknown"]);
    let both = waits(|facts| {
        lose(facts);
        facts.order.captured = false;
    });
    assert_eq!(both, ["its money: shipped, and not known to be captured"]);
}

#[test]
fn an_order_that_both_regions_have_waits_for_a_person() {
    let waits = waits(|facts| facts.also_in = Some(ids::Region::West));
    assert!(
        matches!(waits.as_slice(), [one] if one.starts_with("a person: west has an order under this id too")),
        "{waits:?}"
    );
}

#[test]
fn the_later_of_two_orders_of_a_request_waits_until_it_is_undone() {
    let other = uuid::Uuid::from_u128(7);
    let twins = |facts: &mut Facts, undone_at| {
        let is = Twins { order_id: facts.order_id.as_uuid(), by_order_id: other, undone_at };
        facts.twins.push(In { region: facts.home, is });
    };
    let open = waits(|facts| twins(facts, None));
    assert_eq!(open, [format!("itself to be undone: {other}, made of the same request, stands in its place")]);
    assert_eq!(waits(|facts| twins(facts, Some(facts.now))), ["Settled"]);
}

#[test]
fn an_undecided_order_waits_for_its_driver_or_for_an_operator() {
    let pending = |facts: &mut Facts| {
        *facts = super::super::sample::pending();
        facts.order.drive_after = Some(facts.now + TimeDelta::seconds(2));
    };
    assert_eq!(waits(pending), ["its saga to be driven to the end; it is held, or put off, for 2.0 s more"]);
    let parked = waits(|facts| {
        pending(facts);
        facts.order.drive_after = None;
        facts.order.parked_at = Some(facts.now);
        facts.order.parked_reason = Some("the provider is silent".to_owned());
    });
    assert!(parked[0].contains("parked") && parked[0].contains("the provider is silent"), "{parked:?}");
}

#[test]
fn a_consumer_that_has_not_applied_an_event_is_named() {
    let forget = |facts: &mut Facts| {
        let event = event_of(facts, "order.placed.v1").id;
        facts.applied.retain(|one| one.is.event != event || one.is.consumer != "cart");
    };
    assert_eq!(waits(forget), ["east cart to apply order.placed.v1"]);
    let unread = waits(|facts| {
        forget(facts);
        facts.inboxes_unread.push(Region::East);
        facts.unread.push("the east cart database".to_owned());
    });
    assert_eq!(unread, ["Unknown"]);
}

#[test]
fn a_dead_letter_is_named_with_what_to_do_and_its_consumer_not_a_second_time() {
    let named = waits(|facts| {
        let event = event_of(facts, "order.shipped.v1").id;
        facts.applied.retain(|one| one.is.event != event);
        facts.letters.push((letter_about(event, 0), None));
        facts.letters.push((letter_about(event, 1), None));
    });
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].contains("backbone dlq replay east/order.shipped.v1/2/1"), "{named:?}");
    let settled = waits(|facts| {
        let letter = letter_about(event_of(facts, "order.shipped.v1").id, 0);
        let applied = Some(facts.now);
        facts.letters.push((letter, applied));
    });
    assert_eq!(settled, ["Settled"]);
}

#[test]
fn an_event_on_its_way_is_waited_for_and_one_without_a_way_is_missing() {
    let lose_west = |facts: &mut Facts| {
        let event = event_of(facts, "order.placed.v1");
        facts.records.retain(|record| record.region == Region::East || record.is.event.id != event.id);
        event
    };
    let missing = waits(|facts| drop(lose_west(facts)));
    assert_eq!(missing, ["order.placed.v1 in the west Kafka, where it is not, and no outbox has it"]);
    let on_its_way = waits(|facts| {
        let event = lose_west(facts);
        facts.now = event.at + TimeDelta::seconds(90);
        facts.waiting.push(In { region: Region::East, is: Waiting { table: "outbox_peer", event } });
    });
    assert_eq!(on_its_way, ["order.placed.v1 to leave the outbox_peer of east order, where it has been for 1m 30s"]);
    let never_said = waits(|facts| {
        let event = event_of(facts, "payment.captured.v1").id;
        facts.records.retain(|record| record.is.event.id != event);
    });
    assert_eq!(never_said, ["payment.captured.v1: 0 of 1 are in an outbox or in a Kafka"]);
    let truncated = waits(|facts| {
        drop(lose_west(facts));
        facts.partly_read.push((Region::West, "order.placed.v1"));
    });
    assert_eq!(truncated, ["Settled"]);
}

#[test]
fn money_and_stock_in_flight_are_named() {
    let voiding = waits(|facts| {
        facts.order.state = "cancelled".to_owned();
        facts.order.drive_after = Some(facts.now);
        facts.payments[0].is.state = "voiding".to_owned();
        facts.payments[0].is.due_at = Some(facts.now);
        facts.records.clear();
        facts.kafkas_unread = Region::ALL.into();
    });
    assert_eq!(
        voiding,
        [
            "its payment to be voided; anybody may take it up",
            "its east payment, which is voiding; taken up again at 00:00:10.000"
        ]
    );
    let held = waits(|facts| {
        *facts = super::super::sample::pending();
        facts.order.state = "rejected".to_owned();
        facts.checkouts.clear();
    });
    assert!(held.iter().any(|wait| wait.contains("still reserved")), "{held:?}");
}
