//! The link between the two regions: a TCP forwarder that is slow, lossy, narrow or cut, on command.
//!
//! # What is modelled
//! Each direction (east to west, west to east) has its own [`Properties`]. Of every connection, each direction is a [`path`]:
//! bytes read at one end are due at the other end some time later, in order, and written there when they are due. What an
//! application sees is what TCP over such a line would show it:
//! - **delay, jitter**: a chunk arrives one way's delay after it was sent, plus up to the jitter, and never before the one
//!   ahead of it.
//! - **loss**: TCP hides a lost segment and shows a pause. The segment is late by one retransmission, and everything behind it
//!   on that connection waits for it (head-of-line blocking); other connections pass.
//! - **reorder**: a segment takes a detour. Other connections overtake it; within its own, TCP puts the order right, so there too
//!   it is a pause.
//! - **bandwidth**: one bottleneck per direction, shared by all connections, first come first served. Its buffer is short: when it
//!   is full the senders wait.
//! - **cut**: a black hole. Nothing is refused or reset; bytes are held until the sender's window is full, and then the sender
//!   stops. New connections hang. After the heal each connection goes on at its next retransmission, with every byte in order.
//! - **a cut of one direction** also starves the other: its bytes arrive, but their acknowledgements do not come back, so it stops
//!   after a window.
//! - **the window**: [`path::WINDOW_BYTES`] unacknowledged bytes per connection and direction, so its throughput is at most a window
//!   per round trip, and the memory held is bounded.
//! - **the end**: a close, a half-close or a reset crosses the link like data, behind the data.
//!
//! # What is not
//! - The dialler's `connect` succeeds at once: the kernel answers for the link. The handshake's round trip is paid before the first
//!   byte leaves instead, and a refusal at the far end is a reset one round trip later. So a connect time-out never fires here;
//!   a request's deadline does.
//! - No congestion window: no slow start, and no halving after a loss.
//! - The retransmission timer doubles up to [`path::RETRANSMIT_MAX`] and not up to Linux's 120 s: after a cut of minutes, what is
//!   measured is our code and not the kernel's patience.
//! - Headers take no bandwidth (3% with full segments).
//! - A connection that one side closed during a cut stays open at the other side until the heal.
//!
//! Read in this order: [`properties`], [`path`] (the model, pure: time and dice are arguments), [`link`] (what all connections
//! share), [`forward`] (sockets), [`control`] (HTTP), [`wire`] (its bodies).

mod bottleneck;
pub mod config;
mod connection;
pub mod control;
pub mod direction;
pub mod forward;
pub mod link;
pub mod path;
pub mod properties;
mod pump;
mod recovery;
pub mod wire;

pub use config::{Config, Route};
pub use direction::{Directed, Direction};
pub use link::Link;
pub use properties::Properties;
