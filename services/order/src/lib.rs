//! The order service: the durable saga that places orders, and what follows it: shipping, cancelling, returning.
//!
//! - [`domain`]: the rules, pure.
//! - [`store`]: the database; each statement beside the function that runs it.
//! - [`sagas`]: what is done over several services, one module each.
//! - [`grpc`]: the service's edge, and the clients of the services it calls.
//! - [`workers`]: what goes on without a request: recovery, refunds, fulfilment, payment's events.
//! - [`config`]: the settings.

pub mod config;
pub mod domain;
pub mod grpc;
pub mod sagas;
pub mod store;
pub mod workers;

pub use store::MIGRATIONS;
