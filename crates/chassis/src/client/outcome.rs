//! What a call's status means for the breaker and for a retry.

use std::time::Duration;

use tonic::{Code, Status};

use crate::breaker::Outcome;
use crate::status;

/// What the caller of a dead connection is told to wait.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Whether the dependency is well. A refusal is an answer; silence, "cannot" and a time-out are not.
pub(super) fn of(status: &Status) -> Outcome {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded => Outcome::Failure,
        _ => Outcome::Success,
    }
}

/// Gives errors that arose on this side of the connection the form they would have had from the other: a broken
/// connection is UNAVAILABLE, however the transport names it. (Every call is idempotent, so repeating it is safe even if
/// the connection broke after the work was done.)
pub(super) fn normalise(dependency: &'static str, status: Status) -> Status {
    let Some(source) = std::error::Error::source(&status) else { return status };
    if has_timed_out(source) {
        return status::deadline_exceeded(format!("{dependency} did not answer in time"));
    }
    tracing::debug!(dependency, error = %source, "connection failed");
    status::unavailable(status::reasons::DEPENDENCY_UNAVAILABLE, format!("{dependency} is unavailable"), RETRY_AFTER)
}

fn has_timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| error.is::<tonic::TimeoutExpired>())
}
