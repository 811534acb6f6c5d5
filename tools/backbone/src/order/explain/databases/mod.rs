//! What each service's database says of one order. Every statement goes by the order's id or by ids that were found by it.

pub mod cart;
pub mod inventory;
pub mod order;
pub mod outbox;
pub mod payment;

#[cfg(test)]
mod tests;
