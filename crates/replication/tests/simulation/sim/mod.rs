//! A world of replicas on simulated disks, clocks and links, with every fault we know, all from one seed.
//!
//! Real: the replication machines, the CRDT, its codec and its check of what peers send. Simulated: Postgres (transactions that take
//! their numbers before they commit, row locks, commits that a crash undoes), the network, time, shoppers, operators.

mod check;
pub mod crowd;
mod disk;
mod faults;
mod host;
mod model;
mod network;
pub mod plan;
pub mod sabotage;
mod shop;
mod site;
pub mod world;

/// Index of a region; stays when its database gets another replica number.
pub type SiteId = usize;
/// A cart's id.
pub type CartId = u64;
/// Microseconds of simulated time.
pub type Micros = u64;

pub const MILLISECOND: Micros = 1_000;
pub const SECOND: Micros = 1_000_000;
