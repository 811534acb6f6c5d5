//! What a call's status means for the breaker and for a retry.

use std::time::Duration;

use tonic::{Code, Status};

use crate::breaker::Outcome;
use crate::status::{self, reasons};

/// What the caller of a dead connection is told to wait.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Whether the dependency is well. A refusal is an answer; silence, "cannot" and a time-out are not. UNAVAILABLE with a reason of the
/// service's own is an answer too: it is about this request (its order's home is away, its cart is contended), and a few of those must
/// not keep everybody else's from being asked.
pub(super) fn of(status: &Status) -> Outcome {
    let is_unwell = match status.code() {
        Code::DeadlineExceeded => true,
        Code::Unavailable => status::reason(status)
            .is_none_or(|reason| [reasons::OVERLOADED, reasons::DEPENDENCY_UNAVAILABLE].contains(&reason.as_str())),
        _ => false,
    };
    if is_unwell { Outcome::Failure } else { Outcome::Success }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_one_request_says_nothing_of_the_dependency() {
        let unavailable = |reason| status::unavailable(reason, "try again", RETRY_AFTER);
        for unwell in [
            Status::unavailable("connection refused"),
            unavailable(reasons::OVERLOADED),
            unavailable(reasons::DEPENDENCY_UNAVAILABLE),
            status::deadline_exceeded("slow"),
        ] {
            assert_eq!(of(&unwell), Outcome::Failure, "{unwell}");
        }
        for well in
            [unavailable("HOME_REGION_UNREACHABLE"), unavailable("CART_CONTENDED"), status::not_found("NO", "no")]
        {
            assert_eq!(of(&well), Outcome::Success, "{well}");
        }
    }
}
