//! The event spine: exactly one effect over at-least-once delivery, without Kafka transactions.
//!
//! ```text
//! service A, one transaction        this crate                         service B, one transaction
//! ┌────────────────────────┐   ┌───────┐   ┌──────────────┐   ┌──────────┐   ┌───────────────────────┐
//! │ change + append()      │──▶│ Relay │──▶│ Kafka, here  │──▶│ Consumer │──▶│ inbox row + Handler   │
//! └────────────────────────┘   └───────┘   └──────────────┘   └──────────┘   └───────────────────────┘
//!                                  │       ┌──────────────┐
//!                                  └──────▶│ Kafka, peer  │   (its consumers skip what is not theirs)
//!                                          └──────────────┘
//! ```
//!
//! Where a crash can repeat work, and what makes the repeat harmless:
//! - between the broker's acknowledgement and the relay's delete: the event is published again under the same id;
//! - between the consumer's commit and its offset commit: the event is delivered again;
//! - in both cases the inbox row, which committed together with the effect, makes the consumer skip it and count it.
//!
//! Nothing is ever lost to a crash: the outbox row goes only after the acknowledgement, the offset only after the
//! effect.

mod append;
mod blocked;
pub mod config;
mod consumer;
mod early;
mod error;
mod event;
mod headers;
mod kafka;
mod record;
mod relay;
pub mod telemetry;
mod waiting;

pub use append::append;
pub use consumer::{Consumer, HandleError, Handler};
pub use error::SpineError;
pub use event::{NewEvent, PAYLOAD_BYTES_MAX, Received};
pub use headers::HeaderError;
pub use relay::Relay;

/// The tables of the spine, versions 1 to 99. Every service that has an outbox or an inbox embeds them before its own.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/outbox");
