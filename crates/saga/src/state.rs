//! Where a saga stands, what can happen to it, and what it asks for.

use std::fmt::Debug;

/// Where a saga stands. `S` names its steps, `R` says why one failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State<S, R> {
    /// Going forward.
    Running {
        /// The step to do next. Everything before it is done; it and what follows may have been tried already.
        next: S,
    },
    /// Going back.
    Unwinding {
        /// The step to compensate next. Everything after it is compensated or never was, whichever driver did it.
        next: S,
        /// Why the saga unwinds.
        reason: R,
    },
    /// Every step is done; final.
    Completed,
    /// Nothing of it is left; final.
    Unwound {
        /// Why it unwound.
        reason: R,
    },
}

/// What happened to a saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<S, R> {
    /// The step's action took effect.
    Done(S),
    /// The step was refused for good and had no effect, so it needs no compensation. Its callee stores that outcome, so no
    /// driver has ever got past it: nothing after it needs one either.
    Refused(S, R),
    /// The step's outcome is still unknown and nobody will ask any more. It may have had its effect, or may yet have it; and a
    /// driver that died, or one that still runs, may have got past it, for a driver starts again at the first step. So the
    /// compensations of all steps before the pivot run, and each must also stop an action that arrives late.
    GivenUp(S, R),
    /// The step's compensation took effect.
    Compensated(S),
}

/// What a saga asks of its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty<S> {
    /// Do the step's action.
    Act(S),
    /// Do the step's compensation.
    Compensate(S),
    /// Nothing: the saga has ended.
    Rest,
}

/// The event is not one that can happen in the state: a programming error or a corrupt store, never bad input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {event} is illegal in state {state}")]
pub struct IllegalTransition {
    state: String,
    event: String,
}

impl IllegalTransition {
    pub(crate) fn new(state: &impl Debug, event: &impl Debug) -> Self {
        Self { state: format!("{state:?}"), event: format!("{event:?}") }
    }
}
