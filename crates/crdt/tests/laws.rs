//! The laws of join, for whole states and for deltas, and a broken join that must not pass them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod world;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};
use rand_shuffle::shuffle;
use world::{State, Step, World, bytes, join_without_context, steps};

mod rand_shuffle {
    /// Fisher-Yates with a linear congruential generator: deterministic in `seed`, good enough to mix an order of delivery.
    pub fn shuffle(order: &mut [usize], mut seed: u64) {
        for at in (1..order.len()).rev() {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            order.swap(at, (seed >> 33) as usize % (at + 1));
        }
    }
}

fn joined(left: &State, right: &State) -> State {
    let mut state = left.clone();
    state.join(right);
    state
}

proptest! {
    #[test]
    fn prop_join_is_commutative(steps in steps(2, true)) {
        let world = World::after(2, &steps);
        let (a, b) = (&world.states[0], &world.states[1]);
        prop_assert_eq!(joined(a, b), joined(b, a));
    }

    #[test]
    fn prop_join_is_associative(steps in steps(3, true)) {
        let world = World::after(3, &steps);
        let [a, b, c] = &world.states[..] else { unreachable!("three replicas") };
        prop_assert_eq!(joined(&joined(a, b), c), joined(a, &joined(b, c)));
    }

    #[test]
    fn prop_join_is_idempotent_and_monotone(steps in steps(2, true)) {
        let world = World::after(2, &steps);
        let (a, b) = (&world.states[0], &world.states[1]);
        prop_assert_eq!(&joined(a, a), a);
        let above = joined(a, b);
        // Monotone: both are below their join, in the lattice's own order (x <= y iff x joined y is y).
        prop_assert_eq!(&joined(a, &above), &above);
        prop_assert_eq!(&joined(b, &above), &above);
        prop_assert!(above.context().covers(a.context()) && above.context().covers(b.context()));
    }

    /// What lets a store touch only the rows that a delta names.
    #[test]
    fn prop_delta_join_of_named_lines_equals_join_of_whole_states(steps in steps(3, true), at: prop::sample::Index) {
        let world = World::after(3, &steps);
        prop_assume!(!world.deltas.is_empty());
        let delta = at.get(&world.deltas);
        let as_state = State::from_parts(delta.context.clone(), delta.lines.clone());
        for state in &world.states {
            let mut by_delta = state.clone();
            by_delta.join_delta(delta);
            prop_assert_eq!(by_delta, joined(state, &as_state));
        }
    }

    #[test]
    fn prop_any_order_and_repetition_of_deltas_converges_to_the_same_bytes(
        steps in steps(4, true),
        seed: u64,
    ) {
        let mut world = World::after(4, &steps);
        world.deliver_everything(|order| shuffle(order, seed));
        let expected = bytes(&world.states[0]);
        for state in &world.states {
            prop_assert_eq!(&bytes(state), &expected);
            prop_assert!(state.context().cloud().is_empty(), "every gap is filled: {:?}", state.context());
        }
    }

    /// Lost deltas are repaired by joining whole states.
    #[test]
    fn prop_lost_deltas_are_repaired_by_state(steps in steps(3, true), lost: u64, seed: u64) {
        let mut by_delta = World::after(3, &steps);
        by_delta.deliver_everything(|order| {
            order.retain(|at| (lost >> (at % 64)) & 1 == 0);
            shuffle(order, seed);
        });
        let mut all = State::default();
        by_delta.states.iter().for_each(|state| all.join(state));
        for mut state in by_delta.states {
            state.join(&all);
            prop_assert_eq!(bytes(&state), bytes(&all));
        }
    }

    #[test]
    fn prop_metadata_is_bounded_by_replicas_not_by_edits(steps in steps(3, false)) {
        let world = World::after(3, &steps);
        for (_, line) in world.states.iter().flat_map(State::lines) {
            prop_assert!(line.entries().count() <= 2 * 3);
        }
    }
}

#[test]
fn a_hundred_thousand_edits_of_twenty_items_take_no_more_room_than_a_thousand() {
    let size_after = |edits: u64| {
        let mut world = World::new(2);
        for edit in 0..edits {
            let (replica, item) = ((edit % 2) as usize, edit % 20);
            world.perform(&Step::Add { replica, item, quantity: 1, price: 1 });
            if edit % 7 == 0 {
                world.perform(&Step::Remove { replica, item });
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

#[test]
fn the_suite_catches_a_join_that_forgets_what_was_removed() {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::default() });
    let caught = runner.run(&steps(2, false), |steps| {
        let mut world = World::with_join(2, join_without_context);
        steps.iter().for_each(|step| world.perform(step));
        let mut seen_by_all = world.states[0].clone();
        world.states[1..].iter().for_each(|state| seen_by_all.join(state));
        let mut by_delta = State::default();
        world.deltas.iter().for_each(|delta| by_delta.join_delta(delta));
        prop_assert_eq!(bytes(&seen_by_all), bytes(&by_delta));
        Ok(())
    });
    let Err(TestError::Fail(_, shrunk)) = caught else { panic!("a broken join passed the suite: {caught:?}") };
    // Something is added, seen on one side, removed, and comes back by a sync: no story is shorter.
    assert!(shrunk.len() <= 5, "not shrunk: {shrunk:?}");
}
