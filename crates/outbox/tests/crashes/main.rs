//! Relays and consumers that are killed at their crash points, as processes of their own, on a real Postgres (`DATABASE_URL`) and
//! a real Kafka (`TEST_KAFKA_BROKERS`). Whatever they leave half done, the next one finishes, once.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(missing_docs, reason = "tests")]

mod child;
mod consumer;
mod early;
mod relay;
#[path = "../spine/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "shared with the other scenarios, which need more of it")]
mod support;
