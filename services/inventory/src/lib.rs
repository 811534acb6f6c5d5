//! Stock as escrow rights per offer and region, reservations, and the product catalogue.
//!
//! A region sells only units that it holds the rights to, so a sale never waits for the other region and the two together
//! never oversell. When local rights do not cover an order, exactly what is missing is asked of the other region, in one
//! call. Source: Balegas et al., "Extending Eventually Consistent Cloud Databases for Enforcing Numeric Invariants",
//! SRDS 2015 (bounded counter); O'Neil, "The Escrow Transactional Method", TODS 1986.
//!
//! - [`domain`]: the rules, pure
//! - [`store`]: stock, reservations and transfers in Postgres
//! - [`grpc`]: `inventory.v1`, and the call to the other region
//! - [`workers`]: order events, expired reservations, transfers left pending
//! - [`catalog`]: `catalog.v1`, a package of its own

pub mod catalog;
pub mod domain;
pub mod grpc;
pub mod store;
pub mod workers;

pub use store::MIGRATIONS;
