//! Answers on the wire. Errors look like Stripe's: `{"error":{"type","code","message",…}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::intent::{DeclineCode, Intent, Refusal};
use crate::ledger::Fact;
use crate::provider::{CommandError, Outcome};

#[derive(Default, Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "type")]
    error_type: &'static str,
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<DeclineCode>,
    /// The intent that stood in the way, so that the caller need not ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_intent: Option<&'a Intent>,
}

#[derive(Serialize)]
struct Wrapped<'a> {
    error: ErrorBody<'a>,
}

fn error(status: StatusCode, error: ErrorBody<'_>) -> Response {
    (status, Json(Wrapped { error })).into_response()
}

/// What happened, as the caller who asked for it is told, the first time and every time after.
pub(super) fn outcome(outcome: &Outcome) -> Response {
    let mut response = match &outcome.entry.fact {
        Fact::Authorised { intent } | Fact::Captured { intent } | Fact::Canceled { intent } => {
            Json(intent).into_response()
        }
        Fact::Refunded { refund, .. } => Json(refund).into_response(),
        Fact::Declined { decline_code, .. } => error(
            StatusCode::PAYMENT_REQUIRED,
            ErrorBody {
                error_type: "card_error",
                code: "card_declined",
                message: "the card was declined",
                decline_code: Some(*decline_code),
                ..ErrorBody::default()
            },
        ),
    };
    if outcome.replayed {
        response.headers_mut().insert("idempotent-replayed", axum::http::HeaderValue::from_static("true"));
    }
    response
}

/// Why nothing happened.
pub(super) fn command_error(failed: &CommandError) -> Response {
    let message = failed.to_string();
    match failed {
        CommandError::Body(_) => invalid("body_invalid", &message),
        CommandError::Refused(refusal) => refused(refusal, &message),
        CommandError::KeyReused => error(
            StatusCode::BAD_REQUEST,
            ErrorBody {
                error_type: "idempotency_error",
                code: "idempotency_key_reused",
                message: &message,
                ..ErrorBody::default()
            },
        ),
        CommandError::LedgerFull => unavailable("ledger_full", &message),
        CommandError::Ledger(cause) => {
            tracing::error!(error = %cause, "the ledger failed");
            internal()
        }
    }
}

fn refused(refusal: &Refusal, message: &str) -> Response {
    let (code, payment_intent) = match refusal {
        Refusal::Invalid(_) => ("parameter_invalid", None),
        Refusal::NoSuchIntent => return not_found(message),
        Refusal::UnexpectedState(intent) => ("payment_intent_unexpected_state", Some(intent)),
        Refusal::AmountTooLarge(intent) => ("amount_too_large", Some(intent)),
    };
    let payment_intent = payment_intent.map(AsRef::as_ref);
    let error_type = "invalid_request_error";
    error(StatusCode::BAD_REQUEST, ErrorBody { error_type, code, message, payment_intent, decline_code: None })
}

pub(super) fn invalid(code: &'static str, message: &str) -> Response {
    error(
        StatusCode::BAD_REQUEST,
        ErrorBody { error_type: "invalid_request_error", code, message, ..ErrorBody::default() },
    )
}

pub(super) fn not_found(message: &str) -> Response {
    let error_type = "invalid_request_error";
    error(StatusCode::NOT_FOUND, ErrorBody { error_type, code: "resource_missing", message, ..ErrorBody::default() })
}

pub(super) fn unauthorised() -> Response {
    error(
        StatusCode::UNAUTHORIZED,
        ErrorBody {
            error_type: "invalid_request_error",
            code: "api_key_invalid",
            message: "no account has this api key",
            ..ErrorBody::default()
        },
    )
}

fn api_error(status: StatusCode, code: &'static str, message: &str) -> Response {
    error(status, ErrorBody { error_type: "api_error", code, message, ..ErrorBody::default() })
}

fn unavailable(code: &'static str, message: &str) -> Response {
    api_error(StatusCode::SERVICE_UNAVAILABLE, code, message)
}

pub(super) fn overloaded() -> Response {
    unavailable("overloaded", "too many requests are being held")
}

pub(super) fn internal() -> Response {
    api_error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong")
}

pub(super) fn timed_out() -> Response {
    api_error(StatusCode::GATEWAY_TIMEOUT, "timeout", "no answer in time")
}
