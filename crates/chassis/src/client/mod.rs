//! Calls to other services: one lazy connection, deadline and trace carried along, retries within a budget, a breaker.

mod channel;
mod dependency;
mod outcome;

pub use channel::DependencyChannel;
pub use dependency::{Dependency, DependencyConfig, InvalidUrl};
