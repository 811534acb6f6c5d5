//! Carts. Each is a delta OR-set ([`crdt`]), so that both regions may write it at all times.
//!
//! [`domain`] decides what an edit does, as pure functions of what was read; [`store`] reads and writes it with an optimistic lock;
//! [`recent`] remembers what it read last; [`replication`] ships it to the other region and joins what comes from there; [`changes`] hears
//! of every change and [`cache`] makes reads fast; [`grpc`] is the edge; [`workers`] consume the cuts of placed orders and settle checkouts that
//! nobody came back for.

pub mod cache;
pub mod catalog;
pub mod changes;
pub mod domain;
pub mod grpc;
pub mod recent;
pub mod replication;
pub mod store;
pub mod workers;

/// The schema of this service's database; the outbox crate's tables come before it.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/cart");
