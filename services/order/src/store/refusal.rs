//! The stored form of a refusal. Versioned, so that a later release can still answer a repeat of an old request.

use serde::Deserialize;

use crate::domain::{Refusal, RefusalKind, Violation};

/// Version 1; there was none before.
const VERSION: u8 = 1;

#[derive(Deserialize)]
struct Stored {
    version: u8,
    kind: Kind,
    reason: String,
    message: String,
    violations: Vec<(String, String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    InvalidRequest,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
    Aborted,
}

/// The stored form.
pub(super) fn encode(refusal: &Refusal) -> serde_json::Value {
    let kind = match refusal.kind {
        RefusalKind::InvalidRequest => "invalid_request",
        RefusalKind::NotFound => "not_found",
        RefusalKind::AlreadyExists => "already_exists",
        RefusalKind::FailedPrecondition => "failed_precondition",
        RefusalKind::Aborted => "aborted",
    };
    let violations: Vec<_> = refusal.violations.iter().map(|one| (&one.kind, &one.subject, &one.description)).collect();
    serde_json::json!({
        "version": VERSION,
        "kind": kind,
        "reason": refusal.reason,
        "message": refusal.message,
        "violations": violations,
    })
}

/// Reads a stored form; the error says what is wrong with it.
pub(super) fn decode(stored: serde_json::Value) -> Result<Refusal, String> {
    let stored: Stored = serde_json::from_value(stored).map_err(|error| format!("refusal: {error}"))?;
    if stored.version != VERSION {
        return Err(format!("refusal of version {}", stored.version));
    }
    let kind = match stored.kind {
        Kind::InvalidRequest => RefusalKind::InvalidRequest,
        Kind::NotFound => RefusalKind::NotFound,
        Kind::AlreadyExists => RefusalKind::AlreadyExists,
        Kind::FailedPrecondition => RefusalKind::FailedPrecondition,
        Kind::Aborted => RefusalKind::Aborted,
    };
    let violation = |(kind, subject, description)| Violation { kind, subject, description };
    let violations = stored.violations.into_iter().map(violation).collect();
    Ok(Refusal { kind, reason: stored.reason, message: stored.message, violations })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_comes_back_as_it_was() {
        use RefusalKind::{Aborted, AlreadyExists, FailedPrecondition, InvalidRequest, NotFound};
        for kind in [InvalidRequest, NotFound, AlreadyExists, FailedPrecondition, Aborted] {
            let mut refusal = Refusal::new(kind, "OUT_OF_STOCK", "not enough stock");
            let [kind, subject, description] = ["OUT_OF_STOCK", "mug", "2 left"].map(str::to_owned);
            refusal.violations.push(Violation { kind, subject, description });
            assert_eq!(decode(encode(&refusal)), Ok(refusal));
        }
    }

    #[test]
    fn the_form_on_disk_stays_readable() {
        let stored = serde_json::json!({
            "version": 1, "kind": "failed_precondition", "reason": "CARD_DECLINED", "message": "declined", "violations": [],
        });
        let refusal = Refusal::new(RefusalKind::FailedPrecondition, "CARD_DECLINED", "declined");
        assert_eq!(decode(stored), Ok(refusal));
        assert!(decode(serde_json::json!({"version": 2})).is_err());
    }
}
