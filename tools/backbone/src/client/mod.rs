//! The shopper's side: a typed client of the BFF's REST interface, its sessions, and where the running system is.
//!
//! It shares a machine's two cores with the system it measures, so it is built to be cheap: one HTTP/1.1 connection per call in
//! flight, kept alive; bodies parsed once, into only what is used; headers prepared once.

pub mod api;
pub mod call;
pub mod deployment;
pub mod http;
pub mod session;
pub mod shelf;
pub mod view;

pub use api::Api;
pub use call::{CallError, Retries};
pub use deployment::{Deployment, DeploymentArgs, Endpoint};
pub use session::{Session, SessionKey};
pub use shelf::{Goods, Shelf};
