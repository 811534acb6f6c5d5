//! The edge: `order.v1` as gRPC services, and the clients of the services that the sagas call. Wire types end here.

pub mod clients;
mod error;
mod home;
mod operator;
pub mod peer;
mod service;
mod validate;
mod wire;

pub use operator::OperatorGrpc;
pub use peer::{PeerGrpc, PeerOrders, PeerRegion};
pub use service::OrderGrpc;
