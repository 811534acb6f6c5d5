//! What the shopper meant, from an independent model: histories of operations with what each had seen. The model knows no
//! dots, contexts or counters.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use world::broken::{FORGETTING_THE_ADDRESS, RETIRING_FOR_OTHERS, WITHOUT_CONTEXT, is_caught};
use world::{Address, Item, Joins, REAL, State, Step, World, id, steps};

type OperationId = usize;

enum Kind {
    Add(Item, u64),
    Set(Item, u64),
    Remove(Item),
    /// An order took every line that was seen.
    Checkout,
    Assign(Address),
    Clear,
}

struct Operation {
    kind: Kind,
    saw: BTreeSet<OperationId>,
}

/// Operations, which of them each replica has seen, and the checkouts that are still undecided.
#[derive(Default)]
struct Model {
    operations: Vec<Operation>,
    seen: Vec<BTreeSet<OperationId>>,
    checkouts: Vec<(usize, OperationId)>,
}

impl Model {
    fn new(replicas: usize) -> Self {
        Self { seen: vec![BTreeSet::new(); replicas], ..Self::default() }
    }

    fn operate(&mut self, replica: usize, kind: Kind) -> OperationId {
        self.operations.push(Operation { kind, saw: self.seen[replica].clone() });
        self.operations.len() - 1
    }

    fn perform(&mut self, step: &Step) {
        match step {
            Step::Add { replica, item, quantity, .. } => self.see(*replica, Kind::Add(*item, *quantity)),
            Step::Set { replica, item, quantity, .. } => self.see(*replica, Kind::Set(*item, *quantity)),
            Step::Remove { replica, item } => self.see(*replica, Kind::Remove(*item)),
            Step::Assign { replica, address } => self.see(*replica, Kind::Assign(*address)),
            Step::Clear { replica } => self.see(*replica, Kind::Clear),
            Step::Retire { .. } => {}
            Step::BeginCheckout { replica } => {
                let checkout = self.operate(*replica, Kind::Checkout);
                self.checkouts.push((*replica, checkout));
            }
            Step::PlaceOrder { checkout } => {
                if !self.checkouts.is_empty() {
                    let (replica, operation) = *checkout.get(&self.checkouts);
                    self.seen[replica].insert(operation);
                }
            }
            Step::Sync { from, to } => {
                let seen = self.seen[*from].clone();
                self.seen[*to].extend(seen);
            }
            Step::Deliver { .. } => unreachable!("whole states only: the model's histories are causally closed"),
        }
    }

    fn see(&mut self, replica: usize, kind: Kind) {
        let operation = self.operate(replica, kind);
        self.seen[replica].insert(operation);
    }

    /// Adds that no remove, set or checkout had seen sum up; of the sets that none had seen the largest stands.
    fn quantities(&self, replica: usize) -> BTreeMap<Item, u64> {
        let seen = &self.seen[replica];
        let undone = |operation: OperationId, item: Item| {
            seen.iter().any(|&later| {
                let later = &self.operations[later];
                let clears = match later.kind {
                    Kind::Set(cleared, _) | Kind::Remove(cleared) => cleared == item,
                    Kind::Checkout => true,
                    Kind::Add(..) | Kind::Assign(_) | Kind::Clear => false,
                };
                clears && later.saw.contains(&operation)
            })
        };
        let mut adds = BTreeMap::new();
        let mut sets = BTreeMap::new();
        for &operation in seen {
            match self.operations[operation].kind {
                Kind::Add(item, quantity) if !undone(operation, item) => *adds.entry(item).or_insert(0) += quantity,
                Kind::Set(item, quantity) if !undone(operation, item) => {
                    let largest = sets.entry(item).or_insert(0);
                    *largest = quantity.max(*largest);
                }
                _ => {}
            }
        }
        sets.into_iter().for_each(|(item, quantity)| *adds.entry(item).or_insert(0) += quantity);
        adds
    }
    /// Addresses that no assignment or clearing had seen, each as often as it was assigned.
    fn addresses(&self, replica: usize) -> Vec<Address> {
        let seen = &self.seen[replica];
        let replaced = |operation: OperationId| {
            let mut later = seen.iter().map(|&later| &self.operations[later]);
            later.any(|later| matches!(later.kind, Kind::Assign(_) | Kind::Clear) && later.saw.contains(&operation))
        };
        let standing = seen.iter().copied().filter(|&operation| !replaced(operation));
        let mut addresses: Vec<Address> = standing
            .filter_map(|operation| match self.operations[operation].kind {
                Kind::Assign(address) => Some(address),
                _ => None,
            })
            .collect();
        addresses.sort_unstable();
        addresses
    }
}

fn quantities(state: &State) -> BTreeMap<Item, u64> {
    state.visible().map(|(item, quantity, _)| (*item, quantity)).collect()
}

fn addresses(state: &State) -> Vec<Address> {
    let mut addresses: Vec<Address> = state.address().values().copied().collect();
    addresses.sort_unstable();
    addresses
}

fn shows_what_was_meant(steps: &[Step], joins: Joins) -> Result<(), TestCaseError> {
    let (mut world, mut model) = (World::with(3, joins), Model::new(3));
    for step in steps {
        world.perform(step);
        model.perform(step);
        for (replica, state) in world.states.iter().enumerate() {
            prop_assert_eq!(quantities(state), model.quantities(replica), "replica {} after {:?}", replica, step);
            prop_assert_eq!(addresses(state), model.addresses(replica), "replica {} after {:?}", replica, step);
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
    east.add(id(0), 1, 2, 100).unwrap();
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
    east.add(id(0), 1, 2, 100).unwrap();
    west.add(id(1), 1, 3, 100).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 7)]));
}

/// With one compacted dot per replica, the remove would not cover the moved dot and the removed 2 units came back as 5.
#[test]
fn a_remove_undoes_exactly_the_part_it_saw_of_a_growing_entry() {
    let (mut east, mut west) = both_have_seen_two();
    west.remove(id(1), 1).unwrap();
    east.add(id(0), 1, 3, 100).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 3)]));
}

#[test]
fn of_two_concurrent_sets_the_larger_stands_with_concurrent_adds_on_top() {
    let (mut east, mut west) = both_have_seen_two();
    east.set(id(0), 1, 4, 100).unwrap();
    west.set(id(1), 1, 6, 100).unwrap();
    east.add(id(0), 1, 1, 100).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 7)]));
}

#[test]
fn an_add_made_while_a_checkout_is_undecided_stays_in_the_cart() {
    let (mut east, mut west) = both_have_seen_two();
    let (operation, cut) = east.cut(id(0)).unwrap();
    east.join_delta(&crdt::Delta::tick(operation));
    east.add(id(0), 1, 3, 100).unwrap();
    west.add(id(1), 1, 4, 100).unwrap();
    east.join_delta(&cut);
    east.join_delta(&cut);
    assert_eq!(meet(east, west), BTreeMap::from([(1, 7)]));
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
    east.add(id(0), 1, 5, 100).unwrap();
    assert_eq!(meet(east, west), BTreeMap::from([(1, 5)]));
}

#[test]
fn a_live_line_keeps_the_price_it_was_added_at_and_of_two_the_lower_stands() {
    let (mut east, mut west) = (State::default(), State::default());
    east.add(id(0), 1, 1, 250).unwrap();
    east.add(id(0), 1, 1, 300).unwrap();
    assert_eq!(east.visible().collect::<Vec<_>>(), [(&1, 2, &250)]);
    west.add(id(1), 1, 1, 240).unwrap();
    east.join(&west);
    assert_eq!(east.visible().collect::<Vec<_>>(), [(&1, 3, &240)]);
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
