//! The edge: `order.v1` as a gRPC service, and the clients of the services that the sagas call. Wire types end here.

pub mod clients;
mod error;
mod service;
mod validate;
mod wire;

pub use service::OrderGrpc;
