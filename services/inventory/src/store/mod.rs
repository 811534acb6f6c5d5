//! Stock, reservations and transfers in this region's database.
//!
//! # Ground rules
//! - **Lock order.** Stock rows are locked all at once and by offer id, before anything is written, so two orders never wait
//!   for each other in a circle. A reservation that exists is locked before the stock rows of its lines; a new one is inserted
//!   after them, when nobody else can hold it.
//! - **Few round trips.** The usual reserve is one statement and one commit. Each statement carries all lines of its request
//!   as arrays, so an order of 1,500 lines costs as many round trips as an order of one.
//! - **Fresh rows.** In READ COMMITTED, `for update` returns the row as its last writer left it, and an `update` of that row
//!   later in the same statement works on the same version. That is what makes "lock, look, take" correct in one statement.
//!   The lock is a CTE that the deciding part reads, which is what makes it come first.
//! - **No call while locked.** No transaction here is open while another service is asked.

mod error;
mod expiry;
mod give_way;
mod receipt;
mod reserve;
mod rows;
mod transfer_in;
mod transfer_out;
mod transition;

pub use error::StoreError;
pub use expiry::claim_expired;
pub use give_way::give_way;
pub use receipt::{ReceiveOutcome, receive};
pub use reserve::{Reservation, reserve};
pub use rows::{Level, available, find_reservation, levels};
pub use transfer_in::{PendingTransfer, claim_abandoned, credit, open, pending_for};
pub use transfer_out::{GrantOutcome, grant};
pub use transition::apply;

/// This service's tables. Apply the outbox's first: they have the lower versions.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/inventory");
