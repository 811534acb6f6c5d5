//! The table of a saga: steps in order, one pivot, every legal (state, event) pair.

use std::fmt::Debug;

use crate::{Duty, Event, IllegalTransition, State};

/// The steps of a saga in the order they run, and which of them is the pivot.
#[derive(Debug, Clone, Copy)]
pub struct Plan<S: 'static> {
    steps: &'static [S],
    pivot: usize,
}

impl<S: Copy + Eq + Debug> Plan<S> {
    /// A plan of `steps`, each of them once, with the pivot at position `pivot`.
    ///
    /// # Panics
    /// When there is no step at `pivot`. A plan is a constant, so this stops the build and not a running service.
    pub const fn new(steps: &'static [S], pivot: usize) -> Self {
        assert!(pivot < steps.len(), "the pivot is one of the steps");
        Self { steps, pivot }
    }

    /// The steps in the order they run.
    pub const fn steps(&self) -> &'static [S] {
        self.steps
    }

    /// A saga of which nothing has been done.
    pub fn start<R>(&self) -> State<S, R> {
        self.step_at(0).map_or(State::Completed, |next| State::Running { next })
    }

    /// What the driver has to do in `state`.
    pub fn duty<R>(&self, state: &State<S, R>) -> Duty<S> {
        match state {
            State::Running { next } => Duty::Act(*next),
            State::Unwinding { next, .. } => Duty::Compensate(*next),
            State::Completed | State::Unwound { .. } => Duty::Rest,
        }
    }

    /// The state after `event`. The old state is consumed, so that a stale one cannot be used again.
    ///
    /// # Errors
    /// [`IllegalTransition`] when the event cannot happen in the state. In particular an event about another step than the
    /// next one, giving up the pivot (its outcome must be learned: the saga's fate hangs on it), and any failure after it.
    pub fn apply<R: Debug>(&self, state: State<S, R>, event: Event<S, R>) -> Result<State<S, R>, IllegalTransition> {
        match (state, event) {
            (State::Running { next }, Event::Done(step)) if step == next => {
                Ok(self.after(step).map_or(State::Completed, |next| State::Running { next }))
            }
            (State::Running { next }, Event::Refused(step, reason))
                if step == next && self.rank(step) <= self.pivot =>
            {
                Ok(unwind_from(self.before(step), reason))
            }
            (State::Running { next }, Event::GivenUp(step, reason)) if step == next && self.rank(step) < self.pivot => {
                Ok(unwind_from(self.pivot.checked_sub(1).and_then(|last| self.step_at(last)), reason))
            }
            (State::Unwinding { next, reason }, Event::Compensated(step)) if step == next => {
                Ok(unwind_from(self.before(step), reason))
            }
            (state, event) => Err(IllegalTransition::new(&state, &event)),
        }
    }

    /// The position of a step; past the end for one that is not in the plan, which no guard above lets through.
    fn rank(&self, step: S) -> usize {
        self.steps.iter().position(|known| *known == step).unwrap_or(usize::MAX)
    }

    fn step_at(&self, rank: usize) -> Option<S> {
        self.steps.get(rank).copied()
    }

    fn after(&self, step: S) -> Option<S> {
        self.step_at(self.rank(step).saturating_add(1))
    }

    fn before(&self, step: S) -> Option<S> {
        self.rank(step).checked_sub(1).and_then(|rank| self.step_at(rank))
    }
}

fn unwind_from<S, R>(step: Option<S>, reason: R) -> State<S, R> {
    match step {
        Some(next) => State::Unwinding { next, reason },
        None => State::Unwound { reason },
    }
}
