//! A pure saga engine: what to do next, and what an outcome makes of it. It does no IO, reads no clock and stores nothing.
//!
//! A saga (Garcia-Molina and Salem, SIGMOD 1987) is a row of steps. Those before the **pivot** have a compensation each;
//! when one of them fails, the compensations of what was done run in reverse order. The pivot decides: once it is done
//! the saga can only go forward, and the steps after it are retried until they succeed.
//!
//! It is made for sagas without a log of their own: every step is idempotent and its callee stores the outcome, so a driver that
//! takes over starts again at the first step and is told what was done already.
//!
//! - [`Plan`]: the steps in order and which of them is the pivot.
//! - [`State`] and [`Event`]: where a saga stands and what happened to it.
//! - [`Plan::apply`]: the table, one arm per legal (state, event) pair. The live path and recovery are this one function.
//! - [`Plan::duty`]: what the caller has to do next.
//!
//! Terms follow the literature: step, compensation, pivot, unwind (see Richardson, "Microservices Patterns", chapter 4).

mod plan;
mod state;

pub use plan::Plan;
pub use state::{Duty, Event, IllegalTransition, State};
