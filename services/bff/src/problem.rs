//! Every error answer: RFC 9457 `application/problem+json`, and how a gRPC status becomes one.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chassis::status::{self, reasons};
use chassis::trace_context;
use serde::Serialize;
use tonic::{Code, Status};
use utoipa::ToSchema;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What went wrong, for people and programs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A URI that names the kind of problem; it holds `code`.
    #[serde(rename = "type")]
    kind: String,
    /// The kind in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// This occurrence in words.
    detail: String,
    /// What a program should look at.
    #[schema(example = "CART_VERSION_STALE")]
    code: String,
    /// Names the request in our logs.
    trace_id: String,
    /// Fields of the request that break a rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Lines that stand in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<LineProblem>,
    #[serde(skip)]
    retry_after: Option<Duration>,
    #[serde(skip)]
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// A field of the request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where, such as `lines[0].quantity`.
    pub field: String,
    /// What would be right.
    pub description: String,
}

/// A line that stands in the way, such as one that is out of stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LineProblem {
    /// The line's offer.
    pub offer_id: String,
    /// Why, such as "3 left".
    pub description: String,
}

/// What took longer than it may is usually over soon.
const OUTCOME_KNOWN_AFTER: Duration = Duration::from_secs(1);

impl Problem {
    /// A problem that arose here.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:marketplace:problem:{code}"),
            title: title(code),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            trace_id: trace_context::current_trace_id().unwrap_or_default(),
            errors: Vec::new(),
            lines: Vec::new(),
            retry_after: None,
            header: None,
        }
    }

    /// 422: a field of the request must change.
    pub fn invalid_field(field: impl Into<String>, description: impl Into<String>) -> Self {
        let error = FieldError { field: field.into(), description: description.into() };
        let detail = format!("{}: {}", error.field, error.description);
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, reasons::INVALID_REQUEST, detail);
        problem.errors.push(error);
        problem
    }

    /// The same, telling the client when to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The same, of a request of which nobody can say whether it was done.
    #[must_use]
    pub fn outcome_unknown(mut self) -> Self {
        self.detail.push_str(
            "; it may have been done or not: send the same request again, a change under the same Idempotency-Key",
        );
        self.retry_after(OUTCOME_KNOWN_AFTER)
    }

    /// The same, with a header that says what would be taken.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// The same without the card numbers that a client put into its request: whatever is said about it, they are not repeated.
    fn without_card_numbers(mut self) -> Self {
        let fields = self.errors.iter_mut().flat_map(|error| [&mut error.field, &mut error.description]);
        let lines = self.lines.iter_mut().flat_map(|line| [&mut line.offer_id, &mut line.description]);
        for told in fields.chain(lines).chain([&mut self.detail]) {
            if text::card_number::is_in(told) {
                *told = text::card_number::redacted(told);
            }
        }
        self
    }

    /// The same, for a client whose whole body was `field` of the request that a service refused: what is wrong in it is named as the
    /// client named it.
    #[must_use]
    pub fn of_body(mut self, field: &str) -> Self {
        let prefix = format!("{field}.");
        for error in &mut self.errors {
            if let Some(part) = error.field.strip_prefix(&prefix) {
                error.field = part.to_owned();
            }
        }
        if !self.errors.is_empty() {
            let told = self.errors.iter().map(|error| format!("{}: {}", error.field, error.description));
            self.detail = told.collect::<Vec<_>>().join("; ");
        }
        self
    }
}

/// The HTTP status for a gRPC code and our reason. The code decides; a few reasons say it more exactly.
pub fn http_status(code: Code, reason: &str) -> StatusCode {
    match (code, reason) {
        (Code::FailedPrecondition, "CARD_DECLINED") => StatusCode::PAYMENT_REQUIRED,
        // A bound of ours; no client is to blame for it.
        (Code::ResourceExhausted, "TOO_MANY_WATCHERS") => StatusCode::SERVICE_UNAVAILABLE,
        (Code::InvalidArgument, _) => StatusCode::UNPROCESSABLE_ENTITY,
        (Code::NotFound, _) => StatusCode::NOT_FOUND,
        (Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition, _) => StatusCode::CONFLICT,
        (Code::Unauthenticated, _) => StatusCode::UNAUTHORIZED,
        (Code::PermissionDenied, _) => StatusCode::FORBIDDEN,
        (Code::ResourceExhausted, _) => StatusCode::TOO_MANY_REQUESTS,
        (Code::Unavailable, _) => StatusCode::SERVICE_UNAVAILABLE,
        (Code::DeadlineExceeded | Code::Cancelled, _) => StatusCode::GATEWAY_TIMEOUT,
        // Ours to mend, not the client's; OK is never an error.
        (Code::Ok | Code::Unknown | Code::OutOfRange | Code::Unimplemented | Code::Internal | Code::DataLoss, _) => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let reason = status::reason(&status);
        let http = http_status(status.code(), reason.as_deref().unwrap_or_default());
        let (code, detail) = match reason {
            Some(reason) if http != StatusCode::INTERNAL_SERVER_ERROR => (reason, status.message()),
            // A status that none of our services built is not meant for clients.
            None if http == StatusCode::SERVICE_UNAVAILABLE => {
                (reasons::DEPENDENCY_UNAVAILABLE.to_owned(), "a service is unavailable; try again")
            }
            None if http == StatusCode::GATEWAY_TIMEOUT => {
                (reasons::DEADLINE_EXCEEDED.to_owned(), "a service did not answer in time")
            }
            _ => {
                tracing::error!(code = ?status.code(), message = status.message(), "service failed");
                (reasons::INTERNAL.to_owned(), "internal error; quote the trace id when you report it")
            }
        };
        let mut problem = Self::new(http, &code, detail);
        problem.retry_after = status::retry_delay(&status);
        if http == StatusCode::GATEWAY_TIMEOUT {
            problem = problem.outcome_unknown();
        }
        let fields = status::field_violations(&status).into_iter();
        problem.errors = fields.map(|at| FieldError { field: at.field, description: at.description }).collect();
        let lines = status::violations(&status).into_iter();
        problem.lines =
            lines.map(|line| LineProblem { offer_id: line.subject, description: line.description }).collect();
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Strings and numbers always serialise.
        let (wait, header) = (self.retry_after, self.header.clone());
        let body = serde_json::to_vec(&self.without_card_numbers()).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if let Some((name, value)) = header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        if let Some(wait) = wait {
            // Whole seconds, rounded up: earlier would be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

/// `CART_NOT_FOUND` in words: "Cart not found".
fn title(code: &str) -> String {
    let words = code.replace('_', " ").to_lowercase();
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
#[path = "problem_tests.rs"]
mod tests;
