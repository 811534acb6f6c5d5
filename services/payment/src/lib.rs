//! The payment service: takes the money of orders, pays it back, and books both in a double-entry ledger.
//!
//! What the provider did is asked about when unknown, never assumed and never charged again; [`driver`] tells how. One order's way:
//! [`grpc`] takes the authorisation in, [`driver`] brings [`store`] and [`psp`] together, [`workers`] capture what shipped and
//! finish whatever was left in flight, [`webhook`] hears hints, [`reconcile`] asks whether the provider's books agree with ours, and
//! the rules of it all are in [`domain`].

pub mod config;
pub mod domain;
pub mod driver;
pub mod grpc;
pub mod psp;
pub mod reconcile;
pub mod store;
pub mod webhook;
pub mod workers;

#[cfg(test)]
mod tests;

/// This service's own migrations, from version 0101; the outbox's come before them.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/payment");
