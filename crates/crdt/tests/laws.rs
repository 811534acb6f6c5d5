//! The laws of the join of whole states, that metadata is bounded, and broken joins that must not pass.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod world;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use world::broken::{
    FORGETTING_THE_ADDRESS, KEEPING_OURS, RETIRING_FOR_OTHERS, SUMMING, Suite, TAKING_THEIR_CONTEXT, WITHOUT_CONTEXT,
    is_caught,
};
use world::{Joins, Price, REAL, State, Step, World, bytes, steps};

/// What a suite finds.
type Verdict = Result<(), TestCaseError>;

fn joined(left: &State, right: &State, joins: Joins) -> State {
    let mut state = left.clone();
    (joins.state)(&mut state, right);
    state
}

fn commutative(steps: &[Step], joins: Joins) -> Verdict {
    let world = World::after(2, steps, joins);
    let (a, b) = (&world.states[0], &world.states[1]);
    prop_assert_eq!(joined(a, b, joins), joined(b, a, joins));
    Ok(())
}

fn associative(steps: &[Step], joins: Joins) -> Verdict {
    let world = World::after(3, steps, joins);
    let [a, b, c] = &world.states[..] else { unreachable!("three replicas") };
    let (left, right) = (joined(&joined(a, b, joins), c, joins), joined(a, &joined(b, c, joins), joins));
    prop_assert_eq!(left, right);
    Ok(())
}

fn idempotent(steps: &[Step], joins: Joins) -> Verdict {
    let a = &World::after(2, steps, joins).states[0];
    prop_assert_eq!(&joined(a, a, joins), a);
    Ok(())
}

/// Both are below their join, in the lattice's own order: x <= y when x joined with y is y.
fn monotone(steps: &[Step], joins: Joins) -> Verdict {
    let world = World::after(2, steps, joins);
    let (a, b) = (&world.states[0], &world.states[1]);
    let above = joined(a, b, joins);
    prop_assert_eq!(&joined(a, &above, joins), &above);
    prop_assert_eq!(&joined(b, &above, joins), &above);
    prop_assert!(above.context().covers(a.context()) && above.context().covers(b.context()));
    Ok(())
}

/// What all replicas together have is what the join of every delta is.
fn same_as_all_deltas(steps: &[Step], joins: Joins) -> Verdict {
    let world = World::after(2, steps, joins);
    let mut by_state = State::default();
    world.states.iter().for_each(|state| (joins.state)(&mut by_state, state));
    let mut by_delta = State::default();
    world.deltas.iter().for_each(|delta| by_delta.join_delta(delta));
    prop_assert_eq!(bytes(&by_state), bytes(&by_delta));
    Ok(())
}

proptest! {
    #[test]
    fn prop_join_is_commutative(steps in steps(2, true)) {
        commutative(&steps, REAL)?;
    }

    #[test]
    fn prop_join_is_associative(steps in steps(3, true)) {
        associative(&steps, REAL)?;
    }

    #[test]
    fn prop_join_is_idempotent(steps in steps(2, true)) {
        idempotent(&steps, REAL)?;
    }

    #[test]
    fn prop_join_is_monotone(steps in steps(2, true)) {
        monotone(&steps, REAL)?;
    }

    #[test]
    fn prop_join_of_all_states_is_the_join_of_all_deltas(steps in steps(2, false)) {
        same_as_all_deltas(&steps, REAL)?;
    }

    #[test]
    fn prop_metadata_is_bounded_by_replicas_not_by_edits(steps in steps(3, false)) {
        let world = World::after(3, &steps, REAL);
        for state in &world.states {
            // Two of each replica, and a set for each checkout that has held one.
            prop_assert!(state.lines().all(|(_, line)| line.entries().count() <= 2 * 3 + world.checkouts.len()));
            prop_assert!(state.address().values().count() <= 3);
        }
    }

    /// Of an address that holds for any order of delivery, not only where nothing overtakes anything.
    #[test]
    fn prop_siblings_are_bounded_by_replicas_in_any_order(steps in steps(3, true)) {
        let world = World::after(3, &steps, REAL);
        prop_assert!(world.states.iter().all(|state| state.address().dots().count() <= 3));
    }
}

#[test]
fn each_broken_join_is_caught_by_the_law_it_breaks_and_shrunk() {
    let broken: [(&str, Suite, (usize, bool), Joins); 6] = [
        ("keeps ours", commutative, (2, true), KEEPING_OURS),
        ("drops others' spent entries", associative, (3, true), RETIRING_FOR_OTHERS),
        ("sums", idempotent, (2, true), SUMMING),
        ("takes their context", monotone, (2, true), TAKING_THEIR_CONTEXT),
        ("forgets what was removed", same_as_all_deltas, (2, false), WITHOUT_CONTEXT),
        ("forgets the address", same_as_all_deltas, (2, false), FORGETTING_THE_ADDRESS),
    ];
    for (what, suite, world, joins) in broken {
        is_caught(what, suite, world, joins);
    }
}

#[test]
fn a_hundred_thousand_edits_of_twenty_items_take_no_more_room_than_a_thousand() {
    let size_after = |edits: u64| {
        let mut world = World::new(2);
        for edit in 0..edits {
            let (replica, item) = ((edit % 2) as usize, edit % 20);
            world.perform(&Step::Add { replica, item, quantity: 1, price: Price(1) });
            if edit % 7 == 0 {
                world.perform(&Step::Remove { replica, item });
            }
            if edit % 11 == 0 {
                world.perform(&Step::Assign { replica, address: edit });
            }
            if edit % 50 == 0 {
                world.perform(&Step::Sync { from: replica, to: 1 - replica });
            }
            world.deltas.clear();
        }
        bytes(&world.states[0]).len()
    };
    let (few, many) = (size_after(1_000), size_after(100_000));
    // Counters grow by a byte or two in a varint; nothing else does.
    assert!(many < few * 2, "{few} bytes after 1,000 edits, {many} after 100,000");
}
