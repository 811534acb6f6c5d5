//! The reference model: what a line holds at the end, from the history alone. It knows no CRDT, only what shoppers mean.
//!
//! - Adds sum.
//! - A removal undoes what its region had seen, and nothing else.
//! - "Set quantity" undoes what its region had seen and stands for it; of several that no one has undone the largest counts.
//! - What no one has seen and undone comes on top.

use super::history::Operation;
use crate::shared_cart::Kind;

/// Units of a line, given all operations on it.
pub fn quantity(line: &[&Operation]) -> u64 {
    let adds: u64 = standing_adds(line).map(|(_, units)| units).sum();
    let sets = line.iter().filter_map(|operation| match operation.kind {
        Kind::Set(units) if !is_undone(operation, line) => Some(units),
        _ => None,
    });
    adds + sets.max().unwrap_or(0)
}

/// The adds that no removal and no set has seen, with their units.
pub fn standing_adds<'a>(line: &'a [&'a Operation]) -> impl Iterator<Item = (&'a Operation, u64)> {
    line.iter().filter_map(|operation| match operation.kind {
        Kind::Add(units) if !is_undone(operation, line) => Some((*operation, units)),
        _ => None,
    })
}

/// Whether a removal or a set had seen it. What filled no place of its own (a removal of nothing) has no name and cannot be undone.
fn is_undone(operation: &Operation, line: &[&Operation]) -> bool {
    let Some(dot) = operation.dot() else { return false };
    line.iter().any(|later| {
        let undoes = matches!(later.kind, Kind::Set(_) | Kind::Remove);
        undoes && !std::ptr::eq(*later, operation) && later.past.contains(dot)
    })
}

#[cfg(test)]
mod tests {
    use ids::Region::{East, West};
    use proptest::prelude::*;

    use super::super::history::tests::operation;
    use super::*;
    use crate::shared_cart::Past;

    fn holds(operations: &[Operation]) -> u64 {
        quantity(&operations.iter().collect::<Vec<_>>())
    }

    /// East added 2 and west has seen it.
    fn two() -> Operation {
        operation(East, Kind::Add(2), &[(1, 1)])
    }

    #[test]
    fn concurrent_adds_sum() {
        let west = operation(West, Kind::Add(3), &[(2, 1)]);
        assert_eq!(holds(&[]), 0);
        assert_eq!(holds(&[two(), west]), 5);
    }

    #[test]
    fn a_removal_undoes_only_what_it_saw() {
        let west = operation(West, Kind::Remove, &[(1, 1), (2, 1)]);
        let unseen = operation(East, Kind::Add(3), &[(1, 1), (1, 2)]);
        assert_eq!(holds(&[two(), unseen.clone(), west.clone()]), 3);
        // The same, had west seen it.
        let saw_all = operation(West, Kind::Remove, &[(1, 1), (1, 2), (2, 1)]);
        assert_eq!(holds(&[two(), unseen, saw_all]), 0);
        assert_eq!(holds(&[two(), west]), 0);
    }

    #[test]
    fn a_set_replaces_what_it_saw_and_of_two_the_larger_stands_under_concurrent_adds() {
        let east = operation(East, Kind::Set(4), &[(1, 1), (1, 2)]);
        let west = operation(West, Kind::Set(6), &[(1, 1), (2, 1)]);
        assert_eq!(holds(&[two(), east.clone()]), 4);
        assert_eq!(holds(&[two(), east.clone(), west.clone()]), 6);
        let on_top = operation(East, Kind::Add(1), &[(1, 1), (1, 2), (1, 3)]);
        assert_eq!(holds(&[two(), east.clone(), west.clone(), on_top.clone()]), 7);
        // A later set that saw both replaces both, though it is smaller; the add it had not seen stays.
        let last = operation(West, Kind::Set(3), &[(1, 1), (1, 2), (2, 1), (2, 2)]);
        assert_eq!(holds(&[two(), east, west, on_top, last]), 4);
    }

    #[test]
    fn a_removal_of_nothing_changes_nothing() {
        let gone = operation(West, Kind::Remove, &[(1, 1), (2, 1)]);
        // It took no number: its newest is that of the first removal.
        let again = operation(West, Kind::Remove, &[(1, 1), (2, 1)]);
        let added = operation(East, Kind::Add(5), &[(1, 1), (1, 2)]);
        assert_eq!(holds(&[two(), gone, again, added]), 5);
        assert_eq!(holds(&[operation(West, Kind::Remove, &[]), two()]), 2);
    }

    /// What two regions do to one line: operate in one of them, or let one see all of the other.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        Operate(ids::Region, Kind),
        Sync(ids::Region),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let region = prop_oneof![Just(East), Just(West)];
        let kind = prop_oneof![(1_u64..5).prop_map(Kind::Add), (1_u64..9).prop_map(Kind::Set), Just(Kind::Remove)];
        let step = prop_oneof![
            3 => (region.clone(), kind).prop_map(|(region, kind)| Step::Operate(region, kind)),
            1 => region.prop_map(Step::Sync),
        ];
        prop::collection::vec(step, 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        /// The model is right about the real CRDT, told nothing but what clients are told.
        #[test]
        fn prop_what_the_histories_imply_is_what_merged_carts_show(steps in steps()) {
            let mut carts = [crdt::Cart::<u8, u64>::default(), crdt::Cart::default()];
            let place = |region: ids::Region| usize::from(region.replica() - 1);
            let mut history = Vec::new();
            for step in steps {
                match step {
                    Step::Sync(into) => {
                        let other = carts[place(into.peer())].clone();
                        carts[place(into)].join(&other);
                    }
                    Step::Operate(region, kind) => {
                        let cart = &mut carts[place(region)];
                        let replica = crdt::ReplicaId(region.replica());
                        let visible = cart.visible().next().is_some();
                        let done = match kind {
                            Kind::Add(units) => cart.add(replica, 0, units, 0).is_ok(),
                            // As the service decides: refused, or nothing to do.
                            Kind::Set(_) if !visible => continue,
                            Kind::Remove if !visible => true,
                            Kind::Set(units) => cart.set(replica, 0, units, 0).is_ok(),
                            Kind::Remove => cart.remove(replica, 0).is_ok(),
                        };
                        prop_assert!(done);
                        let past = Past::of(cart.context());
                        history.push(Operation { past, ..operation(region, kind, &[]) });
                    }
                }
            }
            let [mut merged, west] = carts;
            merged.join(&west);
            prop_assert_eq!(holds(&history), merged.visible().map(|(_, units)| units).sum::<u64>());
        }
    }
}
