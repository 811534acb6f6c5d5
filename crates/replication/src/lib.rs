//! Replication of carts between regions: a durable log of deltas is shipped, and anti-entropy finds what shipping missed. Pure
//! state machines: no IO, no clock, no randomness.
//!
//! # Ground rules
//! Every replica ships *its own* operations to every other; nobody passes on what it received. For each direction there is one
//! [`Shipper`], which dials, and one [`Receiver`]. They live as long as a stream, and are made from nothing: all that counts is on
//! the two disks. The host feeds them inputs with the current time and carries out the effects they return; a failed effect has no
//! input, the host drops the machine and the stream and begins again, which must be right anyway, since it may crash.
//!
//! # Shipping
//! ```text
//! shipper                         receiver
//!   Hello            ────────▶    reads the position it has stored for this log
//!                    ◀────────    Welcome { through }
//!   Batch (0, 7]     ────────▶    joins the entries and stores "through 7" in ONE transaction,
//!                    ◀────────    Ack { through: 7 }           and only then answers
//!   stores acked 7: up to there, and no further, the log may be trimmed
//! ```
//! `through` means: everything the log will ever hold up to here is durable here. So it never jumps a gap: a batch that begins
//! beyond it is dropped, and the answer says where to go back to. (Joining it would be safe, as deltas commute, but useless: going
//! back ships it again. Dropping keeps every replica's view of another a prefix of what the other did.) Batches repeat, overlap
//! and come late without harm: join is idempotent, and `through` is a maximum.
//!
//! # Back-pressure
//! The log is read only when the window of unacknowledged batches has room, and the window keeps no entries, so memory does not
//! depend on how long the link was down. A receiver commits one transaction at a time and gathers what arrives meanwhile for the next.
//!
//! # Anti-entropy
//! Each shipper goes over its carts in pages by id: if the receiver's digest of a page differs, it lists the digests of its carts, and
//! the shipper sends its whole state of each cart that differs. A whole state also says what is absent, so it repairs whatever
//! a lost entry, a restored backup or a bug left behind. What the *receiver* has more is the business of the other direction's shipper.
//!
//! A cart that is being edited differs for as long as its delta is on its way, and is then repaired without need. That is
//! harmless, and bounded: a pass begins and goes on only while the shipper has read its log to the end, has one page in flight, pauses
//! before each page and longer between passes, and sends each cart at most once a pass. When the receiver needs entries that the log no
//! longer holds, a pass begins at once.
//!
//! # What a refused entry does
//! An entry that does not decode, or that the host finds hostile, is skipped and counted by the host, and the batch's other entries are
//! joined: one bad cart must not stop all others. If it was good after all (a newer format), anti-entropy repairs it after the upgrade.
//!
//! Sources: Almeida, Shoker, Baquero, "Delta state replicated data types", JPDC 2018, algorithm 2 (deltas, acknowledgements, whole
//! state when the delta is gone); Demers et al., "Epidemic algorithms for replicated database maintenance", PODC 1987 (anti-entropy).

mod anti_entropy;
mod config;
mod digest;
mod message;
mod position;
pub mod receiver;
pub mod shipper;
mod window;

pub use config::Config;
pub use digest::Digest;
pub use message::{Listing, PROTOCOL_VERSION, ToReceiver, ToShipper};
pub use position::{Position, ReplicaId};
pub use receiver::Receiver;
pub use shipper::Shipper;
