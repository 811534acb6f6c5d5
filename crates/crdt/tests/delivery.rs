//! Deltas: joined in place of whole states, in any order, again, late, or lost and repaired; and broken joins that must not pass.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod world;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use world::broken::{
    DELTA_CLOSING_GAPS, DELTA_SKIPPED_WHEN_SEEN, DELTA_WITHOUT_REMOVALS, KEEPING_OURS, Suite, WITHOUT_CONTEXT,
    is_caught,
};
use world::{Joins, REAL, State, Step, World, bytes, steps};

/// Fisher-Yates with a linear congruential generator: deterministic, good enough to mix an order of delivery. `seed` moves on, so
/// that each replica gets an order of its own.
fn shuffle(order: &mut [usize], seed: &mut u64) {
    for at in (1..order.len()).rev() {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(at, (*seed >> 33) as usize % (at + 1));
    }
}

/// What lets a store touch only the rows that a delta names.
fn delta_joins_as_a_state_does(steps: &[Step], joins: Joins) -> Result<(), TestCaseError> {
    let world = World::after(3, steps, joins);
    for delta in &world.deltas {
        let as_state = State::from(delta.clone());
        for state in &world.states {
            let (mut by_delta, mut by_state) = (state.clone(), state.clone());
            (joins.delta)(&mut by_delta, delta);
            by_state.join(&as_state);
            prop_assert_eq!(by_delta, by_state);
        }
    }
    Ok(())
}

fn any_order_converges(steps: &[Step], joins: Joins, mut seed: u64) -> Result<(), TestCaseError> {
    let mut world = World::after(3, steps, joins);
    world.deliver_everything(|order| shuffle(order, &mut seed));
    let expected = bytes(&world.states[0]);
    for state in &world.states {
        prop_assert_eq!(&bytes(state), &expected);
        prop_assert!(state.context().cloud().is_empty(), "every gap is filled: {:?}", state.context());
    }
    Ok(())
}

fn lost_deltas_are_repaired(steps: &[Step], joins: Joins, lost: u64, mut seed: u64) -> Result<(), TestCaseError> {
    let mut world = World::after(3, steps, joins);
    world.deliver_everything(|order| {
        order.retain(|at| (lost >> (at % 64)) & 1 == 0);
        shuffle(order, &mut seed);
    });
    let mut all = State::default();
    world.states.iter().for_each(|state| all.join(state));
    for mut state in world.states {
        (joins.state)(&mut state, &all);
        prop_assert_eq!(bytes(&state), bytes(&all));
    }
    Ok(())
}

proptest! {
    #[test]
    fn prop_delta_join_of_named_lines_equals_join_of_whole_states(steps in steps(3, true)) {
        delta_joins_as_a_state_does(&steps, REAL)?;
    }

    #[test]
    fn prop_any_order_and_repetition_of_deltas_converges_to_the_same_bytes(steps in steps(3, true), seed: u64) {
        any_order_converges(&steps, REAL, seed)?;
    }

    #[test]
    fn prop_lost_deltas_are_repaired_by_state(steps in steps(3, true), lost: u64, seed: u64) {
        lost_deltas_are_repaired(&steps, REAL, lost, seed)?;
    }
}

#[test]
fn each_broken_join_is_caught_and_shrunk() {
    // A few orders and losses of each history: with one alone, a shrunk history is dealt another one and the failure is lost.
    let any_order: Suite = |steps, joins| (1..=8).try_for_each(|seed| any_order_converges(steps, joins, seed));
    let half_lost: Suite = |steps, joins| {
        let mut halves = [0x5555, 0x3333, 0x0f0f, 0x00ff].into_iter().flat_map(|half: u64| [half, !half]);
        halves.try_for_each(|lost| lost_deltas_are_repaired(steps, joins, lost, lost))
    };
    let broken: [(&str, Suite, Joins); 6] = [
        ("forgets what a delta removes", delta_joins_as_a_state_does, DELTA_WITHOUT_REMOVALS),
        ("skips a delta that was seen", delta_joins_as_a_state_does, DELTA_SKIPPED_WHEN_SEEN),
        ("forgets what a delta removes", any_order, DELTA_WITHOUT_REMOVALS),
        ("counts as seen what is under way", any_order, DELTA_CLOSING_GAPS),
        ("keeps ours", half_lost, KEEPING_OURS),
        ("forgets what a state removed", half_lost, WITHOUT_CONTEXT),
    ];
    for (what, suite, joins) in broken {
        is_caught(what, suite, (3, true), joins);
    }
}
