//! The control panel: `GET /link` shows, `PATCH /link` changes, `PUT /link` replaces, `GET /healthz` says that the routes are open.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::link::Link;
use crate::wire::{self, Changes};

/// A change is a few hundred bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// The panel of a link.
pub fn router(link: Arc<Link>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/link", get(show).patch(patch).put(put))
        .fallback(|| async { refuse(StatusCode::NOT_FOUND, "the panel has /link and /healthz") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(link)
}

async fn show(State(link): State<Arc<Link>>) -> Response {
    Json(wire::view(&link, Instant::now())).into_response()
}

/// What is left out stays.
async fn patch(State(link): State<Arc<Link>>, body: Bytes) -> Response {
    change(&link, &body, false)
}

/// What is left out is as it was when the process started; a cut is healed.
async fn put(State(link): State<Arc<Link>>, body: Bytes) -> Response {
    change(&link, &body, true)
}

fn change(link: &Link, body: &[u8], from_the_start: bool) -> Response {
    let changes: Changes = match serde_json::from_slice(body) {
        Ok(changes) => changes,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    if let Err(invalid) = changes.check() {
        return refuse(StatusCode::BAD_REQUEST, &invalid.to_string());
    }
    let now = Instant::now();
    let changed = link.change(|properties| {
        if from_the_start {
            *properties = link.initial();
        }
        changes.apply(properties, now);
    });
    match changed {
        Ok(properties) => {
            tracing::info!(?properties, "the link was changed");
            Json(wire::view(link, now)).into_response()
        }
        Err(out_of_range) => refuse(StatusCode::BAD_REQUEST, &out_of_range.to_string()),
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}
