//! The local platform: both regions as plain processes on loopback addresses. Real PostgreSQL, Redis and Apache Kafka, no
//! container engine, no root.
//!
//! A system is a list of [`part`]s (one process each), made from a [`Layout`] (folders and addresses) by [`plan`]. [`up`]
//! starts them in waves and waits for each to say that it is ready; [`down`] stops them the other way round. What runs is
//! recorded in the run directory, with enough about each process never to signal a stranger ([`process`]).
//!
//! Everything is under one run directory: `data/`, `conf/`, `secrets/`, `log/<zone>/<name>.log`, `state.json`. Two systems
//! with different run directories and address prefixes stand side by side; the whole-system tests use that.

pub mod account;
pub mod control;
mod down;
mod error;
mod kafka;
mod layout;
mod log_bound;
pub mod part;
pub mod plan;
mod postgres;
pub mod process;
pub mod procfs;
mod ready;
mod redis;
mod replication;
mod runner;
pub mod secrets;
mod seed;
pub mod services;
mod state;
mod status;
mod template;
mod tool;
mod up;
mod wan;
mod watch;

pub use control::{end_predecessor, kill, restart, running, start, start_beside, start_changed, stop};
pub use down::down;
pub use error::PlatformError;
pub use kafka::TOPICS;
pub use layout::{InvalidPrefix, Layout, Prefix, Settings};
pub use part::{Part, PartName, Zone};
pub use plan::Scope;
pub use replication::summary as replication;
pub use services::Service;
pub use status::{PartStatus, status, table, watched};
pub use up::{Options, up};
pub use watch::{Hold, watch};

/// Told of each step, a line at a time.
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);
