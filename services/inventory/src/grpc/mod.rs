//! `inventory.v1` on the wire: checks requests, calls the rules and the store, answers.

mod inventory;
mod peer;
pub mod reasons;
mod reserve;
mod status;

pub use inventory::InventoryGrpc;
pub use peer::{Peer, PeerError, PeerRegion};
pub use reserve::{ReserveError, Reserving, settle};
pub(crate) use status::key_reused;
