//! Each verdict holds on a sound ending and is seen to fail when one thing in it is spoiled.
use std::time::Duration;

use crdt::codec::encode_context;
use crdt::{CausalContext, ReplicaId};
use ids::CartId;
use ids::Region::{East, West};
use serde_json::json;

use super::*;
use crate::audit::both::Both;
use crate::audit::report::{Verdict, conclude};
use crate::drill::partition::history::tests::operation;
use crate::shared_cart::Stored;

/// East added 2, west concurrently 3; then both met.
fn sound() -> (History, Vec<Ending>) {
    let operations = vec![operation(East, Kind::Add(2), &[(1, 1)]), operation(West, Kind::Add(3), &[(2, 1)])];
    (History { operations, ..History::default() }, vec![ending(&[(1, 1), (2, 1)], 5)])
}

fn held(dots: &[(u8, u64)], units: u64) -> Held {
    let context: CausalContext =
        dots.iter().map(|(replica, counter)| crdt::Dot::new(ReplicaId(*replica), *counter)).collect();
    let lines = [(goods::offer_id(0), vec![1])].into();
    let shown = json!({"lines": [{"offer_id": goods::offer_id(0), "quantity": units}]});
    Held { stored: Some(Stored { context: encode_context(&context), address: vec![1, 0], lines }), shown }
}

fn ending(dots: &[(u8, u64)], units: u64) -> Ending {
    Ending { id: CartId::generate(), held: Both { east: held(dots, units), west: held(dots, units) } }
}

/// Which of the three hold, and what the first that does not says.
fn judged(history: &History, carts: &[Ending]) -> ([bool; 3], String) {
    let findings = [converged(carts), lossless(history, carts), intent(history, carts)]
        .map(|examined| conclude("verdict", || Ok(examined)));
    let named = findings.iter().flat_map(|finding| finding.offenders.iter()).next().cloned();
    (findings.map(|finding| finding.verdict == Verdict::Ok), named.unwrap_or_default())
}

#[test]
fn a_sound_ending_passes_all_three() {
    let (history, carts) = sound();
    assert_eq!(judged(&history, &carts).0, [true, true, true]);
}

#[test]
fn regions_that_differ_have_not_converged_and_the_line_or_the_address_is_named() {
    let (history, mut carts) = sound();
    carts[0].held.west.stored.as_mut().unwrap().lines.insert(goods::offer_id(7), vec![2]);
    let (verdicts, named) = judged(&history, &carts);
    assert_eq!(verdicts, [false, true, true]);
    assert!(named.contains(&carts[0].id.to_string()) && named.contains(&goods::offer_id(7)), "{named}");

    let (_, mut carts) = sound();
    carts[0].held.west.stored.as_mut().unwrap().address = vec![1, 1, 1, 1, 1];
    let (verdicts, named) = judged(&history, &carts);
    assert_eq!(verdicts, [false, true, true]);
    assert!(named.contains(&carts[0].id.to_string()) && named.contains("different delivery addresses"), "{named}");

    let (_, mut carts) = sound();
    carts[0].held.west.stored = None;
    assert_eq!(judged(&history, &carts).0[..2], [false, false], "a cart that one region lacks");
    let (_, mut carts) = sound();
    carts[0].held.west.shown = json!(null);
    assert!(!judged(&history, &carts).0[0], "a cart that one region does not show");
}

/// What a cart of "last writer wins" does: the regions agree, and west's add is gone.
#[test]
fn an_add_that_both_regions_forgot_is_a_loss_although_they_agree() {
    let (history, _) = sound();
    let forgotten = vec![ending(&[(1, 1)], 2)];
    let (verdicts, named) = judged(&history, &forgotten);
    assert_eq!(verdicts, [true, false, false]);
    assert!(named.contains("add 3 in west (operation 2.1") && named.contains("is unknown in east"), "{named}");

    let seen_but_gone = vec![ending(&[(1, 1), (2, 1)], 2)];
    let (verdicts, named) = judged(&history, &seen_but_gone);
    assert_eq!(verdicts, [true, false, false]);
    assert!(named.contains("east shows 2 of at least 5 units"), "{named}");
}

#[test]
fn one_name_for_two_operations_is_a_loss() {
    let (mut history, carts) = sound();
    history.operations.push(operation(East, Kind::Add(4), &[(1, 1)]));
    let (verdicts, named) = judged(&history, &carts);
    assert!(!verdicts[1] && named.contains("has the name of another operation"), "{named}");
}

#[test]
fn units_that_a_removal_saw_are_not_lost() {
    let (mut history, _) = sound();
    history.operations.push(operation(East, Kind::Remove, &[(1, 1), (1, 2), (2, 1)]));
    assert_eq!(judged(&history, &[ending(&[(1, 1), (1, 2), (2, 1)], 0)]).0, [true, true, true]);
    // Removed things that come back break the intent, not the loss.
    assert_eq!(judged(&history, &[ending(&[(1, 1), (1, 2), (2, 1)], 5)]).0, [true, true, false]);
}

#[test]
fn a_line_with_an_unknown_outcome_is_not_judged_by_its_units() {
    let (mut history, _) = sound();
    history.unknown.insert(LineId { cart: 0, offer: 0 });
    assert_eq!(judged(&history, &[ending(&[(1, 1), (2, 1)], 1)]).0, [true, true, true]);
}

#[test]
fn a_line_that_nobody_added_breaks_the_intent() {
    let (history, mut carts) = sound();
    let line = json!({"offer_id": "vase", "quantity": 1});
    carts[0].held.east.shown["lines"].as_array_mut().unwrap().push(line.clone());
    let (verdicts, named) = judged(&history, &carts);
    assert!(!verdicts[2] && named.contains("show different carts"), "{named}");
    carts[0].held.west.shown["lines"].as_array_mut().unwrap().push(line);
    let (verdicts, named) = judged(&history, &carts);
    assert!(!verdicts[2] && named.contains("shows vase, which nobody added"), "{named}");
}

#[test]
fn an_operation_without_a_name_is_a_loss() {
    let (mut history, carts) = sound();
    history.operations[0].past = Default::default();
    history.operations[0].acknowledged = Duration::from_secs(3);
    assert!(!judged(&history, &carts).0[1]);
}
