//! Builders.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation as WireFieldViolation, PreconditionViolation, StatusExt as _};

use super::{DOMAIN, reasons};

/// One line (or other subject) that stands in the way of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What kind, such as `OUT_OF_STOCK`.
    pub kind: String,
    /// Which one, such as an offer id.
    pub subject: String,
    /// For people, such as "3 left".
    pub description: String,
}

impl Violation {
    /// A violation of `kind` by `subject`.
    pub fn new(kind: impl Into<String>, subject: impl Into<String>, description: impl Into<String>) -> Self {
        Self { kind: kind.into(), subject: subject.into(), description: description.into() }
    }
}

/// What is said about a request is shown, and logged: a card number that came in it is left out.
fn told(message: impl Into<String>) -> String {
    let message = message.into();
    if text::card_number::is_in(&message) { text::card_number::redacted(&message) } else { message }
}

fn with_reason(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::<String, String>::new())
}

/// INVALID_ARGUMENT (INVALID_REQUEST): the request must change. Each violation names a field, as the proto spells it, and
/// says what would be right.
pub fn invalid_request<Field: AsRef<str>, Description: AsRef<str>>(violations: &[(Field, Description)]) -> Status {
    let fields: Vec<_> = violations
        .iter()
        .map(|(field, description)| WireFieldViolation::new(told(field.as_ref()), told(description.as_ref())))
        .collect();
    let message = fields
        .iter()
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect::<Vec<_>>()
        .join("; ");
    let mut details = with_reason(reasons::INVALID_REQUEST);
    details.set_bad_request(fields);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// NOT_FOUND: no such thing, or none that this caller may know of.
pub fn not_found(reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(Code::NotFound, told(message), with_reason(reason))
}

/// FAILED_PRECONDITION: the request is well-formed, but the state it meets must change first.
pub fn failed_precondition(reason: &str, message: impl Into<String>, violations: &[Violation]) -> Status {
    let mut details = with_reason(reason);
    if !violations.is_empty() {
        let violations: Vec<_> = violations
            .iter()
            .map(|violation| PreconditionViolation::new(&violation.kind, &violation.subject, &violation.description))
            .collect();
        details.set_precondition_failure(violations);
    }
    Status::with_error_details(Code::FailedPrecondition, told(message), details)
}

/// ABORTED: the caller acted on something that has moved on; it must read again before it retries.
pub fn aborted(reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(Code::Aborted, told(message), with_reason(reason))
}

/// ALREADY_EXISTS: above all the reuse of an idempotency key for another request.
pub fn already_exists(reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(Code::AlreadyExists, told(message), with_reason(reason))
}

/// UNAVAILABLE: the same request may succeed after `retry_after`. Never ours to send when the effect must not repeat;
/// every call here is idempotent.
pub fn unavailable(reason: &str, message: impl Into<String>, retry_after: Duration) -> Status {
    let mut details = with_reason(reason);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::Unavailable, told(message), details)
}

/// RESOURCE_EXHAUSTED: a bound is reached that this caller can wait out, or go elsewhere with, after `retry_after`.
pub fn resource_exhausted(reason: &str, message: impl Into<String>, retry_after: Duration) -> Status {
    let mut details = with_reason(reason);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, told(message), details)
}

/// DEADLINE_EXCEEDED: time ran out while doing `what`; its effect is unknown.
pub fn deadline_exceeded(what: impl Into<String>) -> Status {
    Status::with_error_details(Code::DeadlineExceeded, what, with_reason(reasons::DEADLINE_EXCEEDED))
}

/// INTERNAL: logs `error` with its causes and returns nothing of it.
pub fn internal(error: &(dyn Error + 'static)) -> Status {
    tracing::error!(error, "internal error");
    internal_unlogged()
}

/// INTERNAL for a fault that is in the log already.
pub(crate) fn internal_unlogged() -> Status {
    let message = "internal error; the service's log has it under this trace id";
    Status::with_error_details(Code::Internal, message, with_reason(reasons::INTERNAL))
}
