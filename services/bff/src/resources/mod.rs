//! One file per resource: its JSON, its handlers, and how they map onto the services' protobuf.

pub mod cart_events;
pub mod carts;
pub mod delivery_address;
pub mod lines;
pub mod money;
pub mod offers;
pub mod orders;
pub mod returns;
pub mod sessions;

use axum::http::StatusCode;
use chassis::status::reasons;

use crate::problem::Problem;

/// A service left out what its contract promises. Shown to the client as our fault; the log says whose.
#[derive(Debug, thiserror::Error)]
#[error("response lacks {0}")]
pub struct Missing(pub &'static str);

impl From<Missing> for Problem {
    fn from(missing: Missing) -> Self {
        tracing::error!(error = %missing, "a service broke its contract");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            reasons::INTERNAL,
            "internal error; quote the trace id when you report it",
        )
    }
}
