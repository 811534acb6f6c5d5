//! What the shopper meant, from an independent model: histories of operations with what each had seen. The model knows no
//! dots, contexts or counters.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod model;
mod world;

use std::collections::BTreeMap;

use crdt::Denominated;
use model::{Currency, Model, Prices};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use world::broken::{FORGETTING_THE_ADDRESS, RETIRING_FOR_OTHERS, WITHOUT_CONTEXT, is_caught};
use world::{Address, Change, Item, Joins, Price, REAL, State, Step, World, id, may_set, prices, steps};

fn quantities(state: &State) -> BTreeMap<Item, u64> {
    state.visible().map(|(item, quantity)| (*item, quantity)).collect()
}

/// What is shown of each item in each currency.
fn by_currency(state: &State) -> BTreeMap<(Item, Currency), Prices> {
    let mut shown: BTreeMap<(Item, Currency), Prices> = BTreeMap::new();
    for (item, units) in prices(state) {
        for (price, units) in units {
            shown.entry((item, price.denomination())).or_default().insert(price, units);
        }
    }
    shown
}

fn addresses(state: &State) -> Vec<Address> {
    let mut addresses: Vec<Address> = state.address().values().copied().collect();
    addresses.sort_unstable();
    addresses
}

/// What a set is decided on; nothing where it is not allowed.
fn shown_to_a_set(world: &World, step: &Step) -> Option<Prices> {
    let Step::Set { replica, item, quantity, price } = step else { return None };
    let view = world.view(*replica);
    may_set(&view, *item, *quantity, *price).then(|| prices(&view).remove(item).unwrap_or_default())
}

fn shows_what_was_meant(steps: &[Step], joins: Joins) -> Result<(), TestCaseError> {
    let (mut world, mut model) = (World::with(3, joins), Model::new(3));
    for step in steps {
        let shown = shown_to_a_set(&world, step);
        world.perform(step);
        model.perform(step, shown);
        for replica in 0..world.states.len() {
            let view = world.view(replica);
            prop_assert_eq!(quantities(&view), model.quantities(replica), "replica {} after {:?}", replica, step);
            let (shown, answers) = (by_currency(&view), model.answers(replica));
            let agree = shown.len() == answers.len()
                && shown.iter().all(|(key, units)| answers.get(key).is_some_and(|answers| answers.contains(units)));
            prop_assert!(agree, "replica {} after {:?} shows {:?}, not {:?}", replica, step, shown, answers);
            prop_assert_eq!(addresses(&view), model.addresses(replica), "replica {} after {:?}", replica, step);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn prop_every_replica_shows_what_the_histories_imply(steps in steps(3, false)) {
        shows_what_was_meant(&steps, REAL)?;
    }
}

#[test]
fn a_join_that_loses_an_intent_is_caught_and_shrunk() {
    let broken = [
        ("removed units come back", WITHOUT_CONTEXT),
        ("units added to an entry that others dropped are lost", RETIRING_FOR_OTHERS),
        ("the address does not travel", FORGETTING_THE_ADDRESS),
    ];
    for (what, joins) in broken {
        is_caught(what, shows_what_was_meant, (3, false), joins);
    }
}

/// Two replicas that have both seen 2 units of item 1, added by the first.
fn both_have_seen_two() -> (State, State) {
    let mut east = State::default();
    east.add(id(0), 1, 2, Price(100)).unwrap();
    let mut west = State::default();
    west.join(&east);
    (east, west)
}

fn meet(mut east: State, mut west: State) -> BTreeMap<Item, u64> {
    let before = east.clone();
    east.join(&west);
    west.join(&before);
    assert_eq!(east, west);
    quantities(&east)
}

#[test]
fn concurrent_adds_sum() {
    let (mut east, mut west) = both_have_seen_two();
    east.add(id(0), 1, 2, Price(100)).unwrap();
    west.add(id(1), 1, 3, Price(100)).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 7)]));
}

/// With one compacted dot per replica, the remove would not cover the moved dot and the removed 2 units came back as 5.
#[test]
fn a_remove_undoes_exactly_the_part_it_saw_of_a_growing_entry() {
    let (mut east, mut west) = both_have_seen_two();
    west.remove(id(1), 1).unwrap();
    east.add(id(0), 1, 3, Price(100)).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 3)]));
}

#[test]
fn of_two_concurrent_sets_the_larger_stands_with_concurrent_adds_on_top() {
    let (mut east, mut west) = both_have_seen_two();
    east.set(id(0), 1, 4, Price(100)).unwrap();
    west.set(id(1), 1, 6, Price(100)).unwrap();
    east.add(id(0), 1, 1, Price(100)).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 7)]));
}

#[test]
fn an_add_made_while_a_checkout_is_undecided_stays_in_the_cart() {
    let (mut east, mut west) = both_have_seen_two();
    let (operation, cut) = east.cut(id(0)).unwrap();
    east.join_delta(&crdt::Delta::tick(operation));
    east.add(id(0), 1, 3, Price(100)).unwrap();
    west.add(id(1), 1, 4, Price(100)).unwrap();
    east.join_delta(&cut);
    east.join_delta(&cut);
    assert_eq!(meet(east, west), BTreeMap::from([(1, 7)]));
}

/// The cut of a checkout that the first replica begins, while these are undecided.
fn begun(state: &mut State, undecided: &[&Change]) -> Change {
    let (operation, cut) = state.view(undecided.iter().copied()).cut(id(0)).unwrap();
    state.join_delta(&Change::tick(operation));
    cut
}

/// Two of A are ordered; while that is undecided one of B is added and ordered.
#[test]
fn two_checkouts_that_overlap_are_independent_whatever_becomes_of_each_and_in_any_order() {
    for (first, second, swapped) in [0, 1, 2, 3, 4, 5, 6, 7].map(|at| (at & 1 > 0, at & 2 > 0, at & 4 > 0)) {
        let (mut east, mut west) = both_have_seen_two();
        let one = begun(&mut east, &[]);
        east.add(id(0), 1, 3, Price(100)).unwrap();
        east.add(id(0), 2, 1, Price(100)).unwrap();
        let two = begun(&mut east, &[&one]);
        assert_eq!(quantities(&east.view([&one, &two])), BTreeMap::new(), "both hold what they were shown");
        let outcomes = [(&one, first), (&two, second)];
        let mut placed: Vec<&Change> = outcomes.iter().filter(|it| it.1).map(|it| it.0).collect();
        if swapped {
            placed.reverse();
        }
        placed.into_iter().for_each(|cut| east.join_delta(cut));
        east.retire(id(0));
        west.join(&east);
        let a = u64::from(!first) * 2 + u64::from(!second) * 3;
        let left = [(1, a), (2, u64::from(!second))].into_iter().filter(|(_, units)| *units > 0).collect();
        assert_eq!(meet(east, west), left, "first placed: {first}, second placed: {second}, swapped: {swapped}");
    }
}

#[test]
fn an_edit_while_a_checkout_is_undecided_leaves_alone_what_it_holds() {
    type Edit = fn(&mut State, &State);
    let nothing: Edit = |_, _| {};
    let remove: Edit = |state, shown| drop(state.remove_shown(shown, id(0), 1).unwrap());
    let set_2: Edit = |state, shown| drop(state.set_shown(shown, id(0), 1, 2, Price(100)).unwrap());
    let set_4: Edit = |state, shown| drop(state.set_shown(shown, id(0), 1, 4, Price(100)).unwrap());
    let add_2: Edit = |state, _| drop(state.add(id(0), 1, 2, Price(100)).unwrap());
    let set_5: Edit = |state, _| drop(state.set(id(0), 1, 5, Price(100)).unwrap());
    // What was ordered, the units added since, the edit, then what shows: undecided, placed, rejected.
    let cases = [
        (add_2, 3, nothing, [3, 3, 5]),
        (add_2, 3, remove, [0, 0, 2]),
        (add_2, 3, set_4, [4, 4, 6]),
        (set_5, 1, set_2, [2, 2, 7]),
        (set_5, 1, remove, [0, 0, 5]),
        (set_5, 1, nothing, [1, 1, 6]),
    ];
    for (at, (ordered, added, edit, shows)) in cases.into_iter().enumerate() {
        let mut state = State::default();
        ordered(&mut state, &State::default());
        let cut = begun(&mut state, &[]);
        state.add(id(0), 1, added, Price(100)).unwrap();
        let shown = state.view([&cut]);
        edit(&mut state, &shown);
        let mut placed = state.clone();
        placed.join_delta(&cut);
        let units = |state: &State| quantities(state).get(&1).copied().unwrap_or(0);
        assert_eq!([units(&state.view([&cut])), units(&placed), units(&state)], shows, "case {at}");
    }
}

/// The first set was replaced where nobody knew that it was ordered. So nothing of it can show again, and the two later sets compete.
#[test]
fn sets_stand_on_what_was_hidden_from_them_and_compete_with_what_they_did_not_know() {
    let (mut east, mut west) = both_have_seen_two();
    east.set(id(0), 1, 5, Price(100)).unwrap();
    west.join(&east);
    let cut = begun(&mut east, &[]);
    let shown = east.view([&cut]);
    east.set_shown(&shown, id(0), 1, 2, Price(100)).unwrap();
    assert_eq!(quantities(&east), BTreeMap::from([(1, 7)]), "the order is rejected");
    west.set(id(1), 1, 6, Price(100)).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 6)]));
}

#[test]
fn the_same_cart_ordered_in_both_regions_is_consumed_once() {
    let (mut east, mut west) = both_have_seen_two();
    for (state, replica) in [(&mut east, 0), (&mut west, 1)] {
        let (_, cut) = state.cut(id(replica)).unwrap();
        state.join_delta(&cut);
    }
    assert_eq!(meet(east, west), BTreeMap::new());
}

#[test]
fn a_spent_entry_is_dropped_by_its_owner_and_a_new_one_counts_from_zero() {
    let (mut east, mut west) = both_have_seen_two();
    west.remove(id(1), 1).unwrap();
    east.join(&west);
    assert_eq!(east.lines().count(), 1, "spent, but its owner has not dropped it yet");
    assert_eq!(east.retire(id(0)).len(), 1);
    assert_eq!(east.lines().count(), 0);
    east.add(id(0), 1, 5, Price(100)).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 5)]));
}

fn units(state: &State) -> Vec<(u64, u64)> {
    prices(state).remove(&1).unwrap_or_default().into_iter().map(|(price, units)| (price.0, units)).collect()
}

#[test]
fn each_unit_keeps_the_price_at_which_it_was_added_whichever_way_the_price_went() {
    for (before, after) in [(250, 300), (300, 250)] {
        let (mut east, mut west) = (State::default(), State::default());
        east.add(id(0), 1, 1, Price(before)).unwrap();
        west.join(&east);
        east.add(id(0), 1, 2, Price(after)).unwrap();
        west.add(id(1), 1, 4, Price(after)).unwrap();
        east.join(&west);
        let mut expected = vec![(before, 1), (after, 6)];
        expected.sort_unstable();
        assert_eq!(units(&east), expected);
        assert_eq!(east.lines().next().unwrap().1.entries().count(), 2, "one entry of each replica");
    }
}

#[test]
fn a_set_raises_at_the_price_of_now_and_lowers_by_the_dearest() {
    let mut state = State::default();
    state.add(id(0), 1, 2, Price(250)).unwrap();
    state.set(id(0), 1, 5, Price(300)).unwrap();
    assert_eq!(units(&state), [(250, 2), (300, 3)]);
    state.set(id(0), 1, 6, Price(200)).unwrap();
    assert_eq!(units(&state), [(200, 1), (250, 2), (300, 3)]);
    state.set(id(0), 1, 2, Price(100)).unwrap();
    assert_eq!(units(&state), [(200, 1), (250, 1)]);
}

/// A checkout takes the units it was shown at the prices it was shown, however the entry grows meanwhile.
#[test]
fn a_cut_takes_units_at_the_prices_that_were_shown() {
    let mut state = State::default();
    state.add(id(0), 1, 2, Price(250)).unwrap();
    let (_, cut) = state.cut(id(0)).unwrap();
    state.add(id(0), 1, 3, Price(300)).unwrap();
    assert_eq!(units(&state.view([&cut])), [(300, 3)]);
    assert_eq!(units(&state), [(250, 2), (300, 3)]);
    state.join_delta(&cut);
    assert_eq!(units(&state), [(300, 3)]);
}

/// 70.00 in one currency and 9,000 in another, set at once: neither is more than the other.
#[test]
fn sets_in_two_currencies_are_not_compared_and_both_show_until_one_is_removed() {
    let (mut east, mut west) = (State::default(), State::default());
    east.set(id(0), 1, 5, Price(70)).unwrap();
    west.set(id(1), 1, 3, Price(1_009)).unwrap();
    let before = east.clone();
    east.join(&west);
    west.join(&before);
    assert_eq!(east, west);
    assert_eq!(units(&east), [(70, 5), (1_009, 3)]);
    let line = east.lines().next().unwrap().1.clone();
    let removed = line.remove(&line, east.context(), id(0), |price| price.denomination() == 1).unwrap();
    east.join_delta(&Change::of_line(1, removed));
    assert_eq!(units(&east), [(70, 5)]);
    west.join(&east);
    assert_eq!(units(&west), [(70, 5)]);
}

#[test]
fn concurrent_addresses_are_siblings_and_a_checkout_leaves_them_alone() {
    let (mut east, mut west) = both_have_seen_two();
    east.assign_address(id(0), 10).unwrap();
    west.assign_address(id(1), 20).unwrap();
    east.join(&west);
    let (_, cut) = east.cut(id(0)).unwrap();
    east.join_delta(&cut);
    assert_eq!((quantities(&east), addresses(&east)), (BTreeMap::new(), vec![10, 20]));
    east.assign_address(id(0), 20).unwrap();
    west.join(&east);
    assert_eq!(addresses(&west), [20], "the shopper has chosen");
    west.clear_address(id(1)).unwrap();
    assert_eq!(meet(east, west), BTreeMap::new());
}
