//! The event spine on a real Postgres (`DATABASE_URL`) and a real Kafka (`TEST_KAFKA_BROKERS`); `make test` provides
//! both.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(missing_docs, reason = "tests")]

mod bloat;
mod blocked;
mod consumer;
mod dead_letters;
mod demoted;
mod guards;
mod held;
mod outages;
mod oversized;
mod relay;
mod retention;
mod support;
mod truncation;
