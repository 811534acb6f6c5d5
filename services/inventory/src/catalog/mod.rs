//! The product catalogue, a package of its own inside the service: it shares the database and nothing of the stock rules.
//!
//! Each region holds all of it and reads are local. It stands here because an offer without its stock is of no use to
//! anybody, and may move out: the only thing that crosses the border is [`store::get`], which shows what is available.

mod convert;
pub mod grpc;
mod offer;
mod page_token;
pub mod store;

pub use grpc::CatalogGrpc;
pub use offer::{InvalidOffer, Offer};
