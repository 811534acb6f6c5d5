//! The command line: brings the system up and down, replays real orders through it, loads it, checks its books.
//!
//! Also a library, so that the whole-system tests drive the same platform that a user does.

mod attribution;
pub mod audit;
pub mod bench;
mod cart;
pub mod cli;
pub mod client;
pub mod dlq;
pub mod drill;
pub mod load;
mod logs;
mod order;
mod payment;
pub mod platform;
pub mod replay;
mod shared_cart;
pub mod spine;
mod test_env;
mod tour;
pub mod wan;
