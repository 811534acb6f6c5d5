//! The rules of stock, as plain functions of state and input. No IO, no clock, no randomness.

mod grant;
mod lines;
mod reservation;
mod shortfall;

pub use grant::{Grant, GrantExceedsAsk};
pub use lines::{Digest, InvalidLine, LINES_MAX, Line, Lines, UNITS_MAX};
pub use reservation::{Event, Move, Refusal, ReleaseCause, ReserveRefusal, State, Stored, Transition, react};
pub use shortfall::{NextStep, ShortLine, next_step};
