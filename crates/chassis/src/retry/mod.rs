//! When and how often to try again. Pure: randomness and time come in as arguments.

mod backoff;
mod budget;

pub use backoff::Backoff;
pub use budget::{Budget, BudgetConfig};
