//! The test bench's side: the ledger for the audit, and the fault panel.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::account::Caller;
use super::{State, answer};
use crate::faults::Faults;

/// Lines in one answer when the caller names no number.
const LINES_DEFAULT: usize = 1_000;
/// Most lines in one answer: about 3 MB.
const LINES_MAX: usize = 5_000;

/// `?after=<n>&limit=<lines>`
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

/// The ledger as it stands in the file, from entry `after + 1` on, of all accounts: any account's key opens it.
/// `{"data":[…],"next_after":n}`; an empty `data` means that is all there is. No fault touches it.
pub(super) async fn ledger(shared: State, _: Caller, Query(page): Query<Page>) -> Response {
    let limit = page.limit.unwrap_or(LINES_DEFAULT).clamp(1, LINES_MAX);
    let mut lines = match shared.provider.ledger_after(page.after, limit) {
        Ok(lines) => lines,
        Err(error) => {
            tracing::error!(%error, "cannot read the ledger");
            return answer::internal();
        }
    };
    // A line is JSON without line breaks of its own, so the breaks between lines become the commas of an array.
    lines.pop();
    let mut count = u64::from(!lines.is_empty());
    for byte in &mut lines {
        if *byte == b'\n' {
            *byte = b',';
            count += 1;
        }
    }
    let mut body = Vec::with_capacity(lines.len() + 64);
    body.extend_from_slice(b"{\"data\":[");
    body.extend_from_slice(&lines);
    body.extend_from_slice(format!("],\"next_after\":{}}}", page.after.saturating_add(count)).as_bytes());
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

pub(super) async fn get_faults(shared: State) -> Json<Faults> {
    Json(shared.panel.get())
}

/// `{"timeout_after_work":n,…}`: how often each fault really came about since the process started.
pub(super) async fn get_counts(shared: State) -> Json<BTreeMap<&'static str, u64>> {
    Json(shared.counts.snapshot())
}

/// Replaces every setting; what is left out is off.
pub(super) async fn put_faults(shared: State, body: axum::body::Bytes) -> Response {
    let faults: Faults = match serde_json::from_slice(&body) {
        Ok(faults) => faults,
        Err(error) => return answer::invalid("body_invalid", &error.to_string()),
    };
    if let Some(field) = faults.invalid_field() {
        return answer::invalid("parameter_invalid", &format!("{field} is out of range"));
    }
    tracing::info!(?faults, "fault panel set");
    shared.panel.set(faults.clone());
    Json(faults).into_response()
}
