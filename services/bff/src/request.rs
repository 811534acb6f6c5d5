//! What happens to every request before and after its handler, in one layer: admission, trace, deadline, panics, metrics.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chassis::status::reasons;
use chassis::{deadline, trace_context};
use futures::FutureExt as _;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::Bff;
use crate::problem::Problem;

/// The longest a request may take, its body included. Each call behind has a shorter deadline of its own.
const REQUEST_DEADLINE: Duration = Duration::from_secs(12);
/// What a shed client is told to wait.
const SHED_RETRY_AFTER: Duration = Duration::from_secs(1);
const UNMATCHED: &str = "unmatched";

pub(crate) async fn around(State(bff): State<Arc<Bff>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    // The route, not the path: ids must not become names of spans or labels of metrics.
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let name = format!("{} {route}", request.method());
    let span = trace_context::span_with_parent(&name, trace_context::from_headers(request.headers()));
    let mut response = serve(&bff, started, request, next).instrument(span.clone()).await;
    span.in_scope(|| observe(name, &mut response, started.elapsed()));
    response
}

async fn serve(bff: &Bff, started: Instant, request: Request, next: Next) -> Response {
    let Some(_in_flight) = bff.in_flight.try_enter() else {
        metrics::counter!("requests_shed_total").increment(1);
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, reasons::OVERLOADED, "too much to do; try again");
        return problem.retry_after(SHED_RETRY_AFTER).into_response();
    };
    let deadline = started + REQUEST_DEADLINE;
    let handled = AssertUnwindSafe(deadline::scope(deadline, next.run(request))).catch_unwind();
    match tokio::time::timeout_at(deadline, handled).await {
        Ok(Ok(response)) => response,
        // The panic hook has logged where and why.
        Ok(Err(_)) => {
            let detail = "internal error; quote the trace id when you report it";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, reasons::INTERNAL, detail).into_response()
        }
        Err(_) => {
            let detail = "the request took too long";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, reasons::DEADLINE_EXCEEDED, detail).into_response()
        }
    }
}

/// Runs inside the request's span.
fn observe(name: String, response: &mut Response, elapsed: Duration) {
    let status = response.status();
    if let Some(parent) = trace_context::current()
        && let Ok(value) = HeaderValue::try_from(parent.to_string())
    {
        response.headers_mut().insert(trace_context::TRACEPARENT, value);
    }
    if status.is_server_error() {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(request = name, status = status.as_u16(), elapsed_ms, "request failed");
    }
    metrics::histogram!("http_server_duration_seconds", "request" => name, "status" => class(status))
        .record(elapsed.as_secs_f64());
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
