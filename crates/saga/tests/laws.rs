//! Laws that every saga obeys, whatever its steps are called.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use saga::{Duty, Event, Plan, State};

/// Steps are numbers here; five of them are enough to have some before, at and after any pivot.
const STEPS: [u8; 5] = [0, 1, 2, 3, 4];

type Why = &'static str;

/// What befalls a step when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    GivenUp,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![3 => Just(Fate::Done), 1 => Just(Fate::Refused), 1 => Just(Fate::GivenUp)]
}

fn any_state() -> impl Strategy<Value = State<u8, Why>> {
    prop_oneof![
        (0..6_u8).prop_map(|next| State::Running { next }),
        (0..6_u8).prop_map(|next| State::Unwinding { next, reason: "first" }),
        Just(State::Completed),
        Just(State::Unwound { reason: "first" }),
    ]
}

fn any_event() -> impl Strategy<Value = Event<u8, Why>> {
    (0..6_u8).prop_flat_map(|step| {
        prop_oneof![
            Just(Event::Done(step)),
            Just(Event::Refused(step, "second")),
            Just(Event::GivenUp(step, "second")),
            Just(Event::Compensated(step)),
        ]
    })
}

/// The whole table in the words of the rules, to hold `apply` against.
fn is_legal(pivot: u8, state: &State<u8, Why>, event: &Event<u8, Why>) -> bool {
    match (state, event) {
        (State::Running { next }, Event::Done(step)) => next == step,
        (State::Running { next }, Event::Refused(step, _)) => next == step && *step <= pivot,
        (State::Running { next }, Event::GivenUp(step, _)) => next == step && *step < pivot,
        (State::Unwinding { next, .. }, Event::Compensated(step)) => next == step,
        _ => false,
    }
}

proptest! {
    #[test]
    fn prop_only_the_listed_pairs_are_legal(pivot in 0..5_u8, state in any_state(), event in any_event()) {
        let plan = Plan::new(&STEPS, usize::from(pivot));
        let in_plan = !matches!(state, State::Running { next: 5 } | State::Unwinding { next: 5, .. });
        prop_assume!(in_plan);
        let legal = is_legal(pivot, &state, &event);
        let ended = plan.duty(&state) == Duty::Rest;
        prop_assert_eq!(plan.apply(state, event).is_ok(), legal);
        prop_assert!(!(legal && ended), "an ended saga takes no event");
    }

    /// Drives a saga to its end under random fates and looks at what it asked for on the way.
    #[test]
    fn prop_a_saga_ends_completed_or_with_nothing_left(
        pivot in 0..5_usize,
        fates in prop::collection::vec(fate(), 5),
    ) {
        let plan = Plan::new(&STEPS, pivot);
        let mut state: State<u8, Why> = plan.start();
        let mut in_effect = Vec::new();
        let mut compensated = Vec::new();
        for _ in 0..2 * STEPS.len() {
            let event = match plan.duty(&state) {
                Duty::Rest => break,
                Duty::Compensate(step) => {
                    compensated.push(step);
                    Event::Compensated(step)
                }
                Duty::Act(step) => match fates[usize::from(step)] {
                    Fate::Refused if usize::from(step) <= pivot => Event::Refused(step, "refused"),
                    Fate::GivenUp if usize::from(step) < pivot => {
                        // Whatever another driver may have done, up to the pivot.
                        in_effect = STEPS[..pivot].to_vec();
                        Event::GivenUp(step, "unknown")
                    }
                    _ => {
                        in_effect.push(step);
                        Event::Done(step)
                    }
                },
            };
            state = plan.apply(state, event).unwrap();
        }
        match state {
            State::Completed => {
                prop_assert_eq!(in_effect, STEPS);
                prop_assert!(compensated.is_empty(), "what passed its pivot is never compensated");
            }
            State::Unwound { .. } => {
                compensated.reverse();
                prop_assert_eq!(compensated, in_effect, "each effect is compensated once, last first");
            }
            unfinished => prop_assert!(false, "did not end: {:?}", unfinished),
        }
    }
}

#[test]
fn an_illegal_transition_names_both_sides() {
    let plan = Plan::new(&STEPS, 3);
    let error = plan.apply(State::<u8, Why>::Completed, Event::Done(2)).unwrap_err();
    assert_eq!(error.to_string(), "event Done(2) is illegal in state Completed");
}
