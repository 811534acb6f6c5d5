//! What happens to every gRPC request before and after its handler, in one layer: admission, trace, deadline, panics, metrics.
//!
//! One layer with one allocated future instead of a stack of six: at a thousand requests a second on two cores, shared by
//! ten services, each layer's allocation and poll shows.

use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::body::Pace;
use super::client::{ClientAddress, share};
use super::first_message::{self, TooSlow};
use super::places::{Asker, Full, Places, PlacesMax};
use crate::config::ServiceConfig;
use crate::{deadline, status, trace_context};

type Request = http::Request<Body>;
type Response = http::Response<Body>;

/// A caller that sets no deadline gets this one; a caller that wants longer than the bound gets the bound.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(5);
const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// Taken off what the caller allows, so that our answer reaches it before it gives up: a named reason beats a hang-up.
const ANSWER_MARGIN: Duration = Duration::from_millis(5);
/// What a shed caller is told to wait. Shedding ends as soon as one request does, so it is short.
const SHED_RETRY_AFTER: Duration = Duration::from_millis(100);

/// Requests of which something is missing still, for each that is being served. They cost memory only, so there are more.
const INCOMPLETE_PER_PLACE: usize = 2;
/// As long as a message may be, here as in the decoders.
const MESSAGE_BYTES_MAX: usize = limits::MESSAGE_BYTES_MAX;
/// How slowly a request's first message may come. It is up to 64 times as large as a body of HTTP, so it may take as long as the caller
/// waits, but it has to begin as soon and to come as fast: the caller says how long it waits, and could say the longest each time.
const MESSAGE_PACE: Pace = Pace { whole: DEADLINE_MAX, ..Pace::PUBLIC };

/// Wraps the services of a gRPC server.
#[derive(Debug, Clone)]
pub(super) struct RequestLayer {
    in_flight: Places,
    incomplete: Places,
    /// Methods whose first message is not waited for.
    client_streams: &'static [&'static str],
}

impl RequestLayer {
    /// With as many places as `config` says, of which one client has its share.
    pub(super) fn new(config: &ServiceConfig, client_streams: &'static [&'static str]) -> Self {
        let places = |all: usize| {
            // Who the sessions are is the handlers' business.
            Places::new(PlacesMax { all, per_address: share(all, config.client_share_percent), per_session: all })
        };
        let in_flight_max = config.requests_in_flight_max();
        let incomplete = places(in_flight_max.saturating_mul(INCOMPLETE_PER_PLACE));
        Self { in_flight: places(in_flight_max), incomplete, client_streams }
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, inner: S) -> RequestService<S> {
        let (in_flight, incomplete) = (self.in_flight.clone(), self.incomplete.clone());
        RequestService { inner, in_flight, incomplete, client_streams: self.client_streams }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct RequestService<S> {
    inner: S,
    in_flight: Places,
    incomplete: Places,
    client_streams: &'static [&'static str],
}

impl<S> Service<Request> for RequestService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // Health and reflection answer also when the service sheds: "overloaded" must not look like "dead".
        if request.uri().path().starts_with("/grpc.") {
            return Box::pin(self.inner.call(request));
        }
        let method = request.uri().path().to_owned();
        let started = Instant::now();
        let allowed = allowed(deadline::from_headers(request.headers()));
        if allowed.is_zero() {
            let refusal = status::deadline_exceeded("the deadline had passed before the request was begun");
            return Box::pin(std::future::ready(Ok(refusal.into_http())));
        }
        let deadline = started + allowed;
        let asker = Asker { address: request.extensions().get::<ClientAddress>().copied(), session: None };
        // Who finds no room now is refused before the body is waited for.
        let incomplete = match self.in_flight.room(asker).and_then(|()| self.incomplete.enter(asker)) {
            Ok(incomplete) => incomplete,
            Err(full) => return Box::pin(std::future::ready(Ok(shed(full).into_http()))),
        };
        let span = trace_context::span_with_parent(&method, trace_context::from_headers(request.headers()));
        let in_flight = self.in_flight.clone();
        let is_stream = self.client_streams.contains(&method.as_str());
        // The one that was polled to be ready; the other takes its place.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let answer = async move {
            let (head, body) = request.into_parts();
            let complete = async {
                if is_stream { Ok(body) } else { first_message::wait(body, MESSAGE_BYTES_MAX, MESSAGE_PACE).await }
            };
            let body = match tokio::time::timeout_at(deadline, complete).await {
                Ok(Ok(body)) => body,
                Ok(Err(TooSlow)) => return Ok(too_slow().into_http()),
                Err(_) => {
                    return Ok(status::deadline_exceeded("the request was not complete at its deadline").into_http());
                }
            };
            let place = match in_flight.enter(asker) {
                Ok(place) => place,
                Err(full) => return Ok(shed(full).into_http()),
            };
            drop(incomplete);
            // Called inside the span and the deadline: a handler may look at them before its first await.
            let handler = inner.call(Request::from_parts(head, body));
            let handled = AssertUnwindSafe(deadline::scope(deadline, handler)).catch_unwind();
            let response = match tokio::time::timeout_at(deadline, handled).await {
                Ok(Ok(Ok(response))) => response,
                Ok(Ok(Err(never))) => match never {},
                // The panic hook has logged where and why.
                Ok(Err(_)) => status::internal_unlogged().into_http(),
                Err(_) => status::deadline_exceeded("the request took longer than its deadline").into_http(),
            };
            drop(place);
            observe(method, &response, started.elapsed());
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

/// The answer to a request for which there is no place. It was not begun.
fn shed(full: Full) -> Status {
    metrics::counter!("requests_shed_total").increment(1);
    let message = match full {
        Full::All => "the service has as many requests as it can serve",
        Full::Address | Full::Session => "this client has as many requests under way as one may",
    };
    status::unavailable(status::reasons::OVERLOADED, message, SHED_RETRY_AFTER)
}

/// The answer to a request whose message was not worth its place. It was not begun.
fn too_slow() -> Status {
    metrics::counter!("bodies_too_slow_total").increment(1);
    let (start, rate) = (MESSAGE_PACE.start.as_secs(), MESSAGE_PACE.bytes_per_second);
    status::deadline_exceeded(format!(
        "the request was not begun: its message came too slowly; after {start} s send {rate} bytes a second or more"
    ))
}

fn allowed(asked: Option<Duration>) -> Duration {
    asked.map_or(DEADLINE_DEFAULT, |asked| asked.saturating_sub(ANSWER_MARGIN).min(DEADLINE_MAX))
}

/// An error status travels in the headers; without one the call succeeded (or is a stream that has begun).
fn observe(method: String, response: &Response, elapsed: Duration) {
    let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
    // Paths that nobody serves are the caller's invention: they must not become metric labels.
    let method = if code == Code::Unimplemented { "unknown".to_owned() } else { method };
    if matches!(code, Code::Internal | Code::Unknown | Code::DataLoss | Code::DeadlineExceeded | Code::Unavailable) {
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(method, ?code, elapsed_ms, "request failed");
    }
    metrics::histogram!("grpc_server_duration_seconds", "method" => method, "code" => code_name(code))
        .record(elapsed.as_secs_f64());
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
