//! What happens to every request before and after its handler, in one layer: completion, admission, trace, deadline, panics, metrics.
//!
//! A request takes a place in flight once it is complete, its body included: a body that dribbles in costs its client a place among those
//! that are being received, of which there are others, and keeps nobody from being served.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chassis::server::body::{self, Pace, Unread};
use chassis::server::{Asker, Full};
use chassis::status::reasons;
use chassis::{deadline, trace_context};
use futures::FutureExt as _;
use http_body::Body as _;
use limits::BODY_BYTES_MAX;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::problem::Problem;
use crate::{Bff, caller};

/// The longest a request may take from when it is complete. Each call behind has a shorter deadline of its own.
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
    let mut response = serve(&bff, request, next).instrument(span.clone()).await;
    span.in_scope(|| observe(name, &mut response, started.elapsed()));
    response
}

async fn serve(bff: &Bff, request: Request, next: Next) -> Response {
    let asker = caller::asker(bff, &request);
    let request = match complete(bff, asker, request).await {
        Ok(request) => request,
        Err(problem) => return problem.into_response(),
    };
    let _place = match bff.in_flight.enter(asker) {
        Ok(place) => place,
        Err(full) => return no_place(full).into_response(),
    };
    let deadline = Instant::now() + REQUEST_DEADLINE;
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
            Problem::new(StatusCode::GATEWAY_TIMEOUT, reasons::DEADLINE_EXCEEDED, detail)
                .outcome_unknown()
                .into_response()
        }
    }
}

/// The request with its body in memory. That of a request which leads nowhere is not read.
async fn complete(bff: &Bff, asker: Asker, request: Request) -> Result<Request, Problem> {
    if request.body().is_end_stream() || request.extensions().get::<MatchedPath>().is_none() {
        return Ok(request);
    }
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(unread(Unread::TooLarge));
    }
    let _receiving = bff.receiving.enter(asker).map_err(no_place)?;
    let (head, body) = request.into_parts();
    let body = body::collect(body, BODY_BYTES_MAX, Pace::PUBLIC).await.map_err(unread)?;
    Ok(Request::from_parts(head, body.into()))
}

fn unread(why: Unread) -> Problem {
    match why {
        Unread::TooLarge => {
            let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail)
        }
        Unread::TooSlow => {
            metrics::counter!("bodies_too_slow_total").increment(1);
            let (start, rate, whole) =
                (Pace::PUBLIC.start.as_secs(), Pace::PUBLIC.bytes_per_second, Pace::PUBLIC.whole.as_secs());
            let detail = format!(
                "the body came too slowly: after {start} s send {rate} bytes a second or more, all of it within {whole} s"
            );
            Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", detail)
        }
        Unread::Broken => Problem::new(StatusCode::BAD_REQUEST, "BODY_UNREADABLE", "the body ended early"),
    }
}

/// What a client is told for whom there is no place. Whoever asks too much at once is told so; everybody else, and an address, which may be
/// a proxy's, that there is too much to do.
fn no_place(full: Full) -> Problem {
    metrics::counter!("requests_shed_total").increment(1);
    let problem = match full {
        Full::Session => {
            let detail =
                "this session has as many requests under way as one may; wait for an answer before you ask again";
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_AT_ONCE", detail)
        }
        Full::Address | Full::All => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, reasons::OVERLOADED, "too much to do; try again")
        }
    };
    problem.retry_after(SHED_RETRY_AFTER)
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
