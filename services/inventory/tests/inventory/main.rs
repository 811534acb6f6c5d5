//! Inventory against a real Postgres, and two regions that talk over real gRPC.
//!
//! Needs DATABASE_URL of a server on which databases may be created; each test gets one of its own. `make test` sets it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod bad_input;
mod catalog;
mod events;
mod fixture;
mod reserve;
mod transfers;
