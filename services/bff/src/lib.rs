//! The backend for front ends: REST/JSON over the gRPC services.
//!
//! Thin on purpose: it knows who is calling ([`session`]), how often they may ([`rate_limit`]), how JSON and protobuf map
//! onto each other ([`resources`], one file each) and how a refusal reads ([`problem`]). It takes no business decision: a
//! quantity of 0 travels to the cart, which refuses it.
//!
//! Read [`routes`] first.

mod backends;
mod caller;
mod config;
pub mod cors;
pub mod event_streams;
mod extract;
mod openapi;
pub mod problem;
pub mod rate_limit;
mod request;
pub mod resources;
mod routes;
pub mod session;

pub use backends::{Backends, CartChanges, Carts, Catalog, Orders};
pub use config::{Config, ConfigError};
pub use openapi::document;
pub use routes::{Bff, router};
