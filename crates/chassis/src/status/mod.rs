//! gRPC errors with google.rpc details. Every error a service returns is made here, so that each carries an `ErrorInfo`
//! whose reason a program can act on; the message is for people.
//!
//! The code says what the caller should do next: fix the request (`InvalidArgument`), change the state first
//! (`FailedPrecondition`), read again and retry (`Aborted`), retry with backoff (`Unavailable`).

mod build;
mod database;
mod fields;
mod home;
mod read;
pub mod reasons;

pub(crate) use build::internal_unlogged;
pub use build::{
    Violation, aborted, already_exists, deadline_exceeded, failed_precondition, internal, invalid_request, not_found,
    resource_exhausted, unavailable,
};
pub use database::from_database;
pub use fields::Fields;
pub use home::{home_elsewhere, require_home};
pub use read::{FieldViolation, field_violations, metadata, reason, retry_delay, violations};

/// `ErrorInfo.domain` of every error.
pub const DOMAIN: &str = "marketplace";
