//! The service against a real Postgres and a provider that misbehaves on command.
//!
//! Postgres is the one of `DATABASE_URL`, where each test gets a database of its own. Without it they fail.
mod authorise;
mod capture;
mod crash;
mod grpc;
mod ledger;
mod parked;
mod provider;
mod reconcile;
mod refund;
mod rush;
mod void;
mod webhook;
mod world;
