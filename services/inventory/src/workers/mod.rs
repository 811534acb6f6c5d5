//! Work that no request waits for.

pub mod expiry;
pub mod order_events;
mod tick;
pub mod transfers;
