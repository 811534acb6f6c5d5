//! Readers: what a status from another service says.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Status;
use tonic_types::StatusExt as _;

use super::Violation;

/// A field of the request that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field as the proto spells it.
    pub field: String,
    /// What would be right.
    pub description: String,
}

/// `ErrorInfo.reason`; `None` for a status that did not come from one of our services.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

/// `ErrorInfo.metadata`; empty when there is none.
pub fn metadata(status: &Status) -> HashMap<String, String> {
    status.get_details_error_info().map(|info| info.metadata).unwrap_or_default()
}

/// The subjects that stood in the way, from `PreconditionFailure`.
pub fn violations(status: &Status) -> Vec<Violation> {
    let failure = status.get_details_precondition_failure();
    let violations = failure.map(|failure| failure.violations).unwrap_or_default();
    violations
        .into_iter()
        .map(|violation| Violation::new(violation.r#type, violation.subject, violation.description))
        .collect()
}

/// The fields that broke a rule, from `BadRequest`.
pub fn field_violations(status: &Status) -> Vec<FieldViolation> {
    let fields = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    fields
        .into_iter()
        .map(|violation| FieldViolation { field: violation.field, description: violation.description })
        .collect()
}

/// How long to wait before trying again, from `RetryInfo`.
pub fn retry_delay(status: &Status) -> Option<Duration> {
    status.get_details_retry_info().and_then(|info| info.retry_delay)
}

#[cfg(test)]
mod tests {
    use super::super::{failed_precondition, invalid_request, unavailable};
    use super::*;

    #[test]
    fn what_the_builders_write_the_readers_read() {
        let invalid = invalid_request(&[("quantity", "must be 1 to 10,000")]);
        assert_eq!(reason(&invalid).as_deref(), Some("INVALID_REQUEST"));
        let expected = FieldViolation { field: "quantity".into(), description: "must be 1 to 10,000".into() };
        assert_eq!(field_violations(&invalid), [expected]);

        let short = [Violation::new("OUT_OF_STOCK", "85123A-255", "3 left")];
        let refused = failed_precondition("OUT_OF_STOCK", "out of stock", &short);
        assert_eq!(violations(&refused), short);

        let later = unavailable("OVERLOADED", "try again", Duration::from_millis(250));
        assert_eq!(retry_delay(&later), Some(Duration::from_millis(250)));
        assert_eq!(reason(&Status::unknown("from elsewhere")), None);
    }
}
