//! What a failed call means, sorted by what may be assumed about the money.

use http::StatusCode;

use super::wire::ErrorBody;

/// The calls, as metrics name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Authorise,
    Capture,
    Void,
    Refund,
    Ask,
}

impl Call {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Authorise => "authorise",
            Self::Capture => "capture",
            Self::Void => "void",
            Self::Refund => "refund",
            Self::Ask => "ask",
        }
    }
}

/// Why a call brought no answer that we can act upon.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The card was declined. Final: nothing is held, and the same call is declined for ever.
    #[error("declined: {code}")]
    Declined {
        /// The provider's word for why.
        code: Box<str>,
    },
    /// The provider refuses the request itself. Nothing was done and repeating does not help: a fault of ours, of the
    /// configuration (api key), or a provider that contradicts itself. Someone has to look.
    #[error("refused: {detail}")]
    Refused {
        /// What it said, or what it contradicts.
        detail: Box<str>,
    },
    /// The request never left: no connection, or the breaker is open. Certainly not processed by this call.
    #[error("provider not reached: {detail}")]
    NotReached {
        /// Why.
        detail: Box<str>,
    },
    /// Anything may have happened: no answer in time, connection lost, a server error, an answer that cannot be read. Ask.
    #[error("outcome unknown: {detail}")]
    Unknown {
        /// Why.
        detail: Box<str>,
    },
}

/// Longest code of the provider that we keep, in characters.
const CODE_CHARS_MAX: usize = 64;

/// The provider's codes end up in our table and in errors: bounded and plain.
fn bounded(text: &str) -> Box<str> {
    text.chars().filter(|c| c.is_ascii_graphic()).take(CODE_CHARS_MAX).collect::<String>().into()
}

impl CallError {
    pub(super) fn refused(detail: &str) -> Self {
        Self::Refused { detail: detail.into() }
    }

    pub(super) fn unknown(detail: &str) -> Self {
        Self::Unknown { detail: detail.into() }
    }

    /// Sorts a transport error. Only a connection that was never made is certain; any later loss may have been processed.
    pub(super) fn from_transport(error: &reqwest::Error) -> Self {
        // The error's own text would name the URL; the kind is what matters.
        if error.is_connect() || error.is_builder() {
            Self::NotReached { detail: "no connection".into() }
        } else if error.is_timeout() {
            Self::unknown("no answer in time")
        } else {
            Self::unknown("connection lost")
        }
    }

    /// Sorts an answer whose status is not a success.
    pub(super) fn from_answer(call: Call, status: StatusCode, body: &[u8]) -> Self {
        let error = serde_json::from_slice::<ErrorBody>(body).map(|body| body.error).unwrap_or_default();
        let code = bounded(&error.code);
        match (status, call) {
            // With the bank's own word for why, when there is one.
            (StatusCode::PAYMENT_REQUIRED, Call::Authorise) => {
                Self::Declined { code: error.decline_code.as_deref().map_or(code, bounded) }
            }
            // A token that the provider does not know. Our edge has checked everything else in an authorisation, so an invalid
            // parameter is the shopper's token, and its payment must not stay in doubt for ever.
            (StatusCode::BAD_REQUEST, Call::Authorise)
                if matches!(&*code, "parameter_invalid" | "resource_missing") =>
            {
                Self::Declined { code }
            }
            // 409: the same key is being processed right now; the others are verdicts of some proxy on the way.
            (
                StatusCode::CONFLICT
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_EARLY
                | StatusCode::TOO_MANY_REQUESTS,
                _,
            ) => Self::unknown(&format!("status {} {code}", status.as_u16())),
            // The request cannot be carried out as it is.
            (status, _) if status.is_client_error() => Self::refused(&format!("status {} {code}", status.as_u16())),
            // 5xx, and redirects or whatever else a proxy may answer.
            (status, _) => Self::unknown(&format!("status {} {code}", status.as_u16())),
        }
    }

    /// The label in metrics.
    pub(super) const fn label(&self) -> &'static str {
        match self {
            Self::Declined { .. } => "declined",
            Self::Refused { .. } => "refused",
            Self::NotReached { .. } => "not_reached",
            Self::Unknown { .. } => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each answer lets us assume about the money.
    #[test]
    fn answers_are_sorted_by_what_may_be_assumed() {
        let declined = &br#"{"error":{"code":"card_declined","decline_code":"insufficient_funds"}}"#[..];
        let invalid = &br#"{"error":{"code":"parameter_invalid","message":"no such payment_method"}}"#[..];
        let reused = &br#"{"error":{"code":"idempotency_key_reused"}}"#[..];
        for (call, status, body, expected) in [
            (Call::Authorise, 402, declined, "declined: insufficient_funds"),
            (Call::Authorise, 402, b"{}", "declined: "),
            (Call::Capture, 402, declined, "refused: status 402 card_declined"),
            (Call::Authorise, 400, invalid, "declined: parameter_invalid"),
            (Call::Authorise, 400, reused, "refused: status 400 idempotency_key_reused"),
            (Call::Refund, 400, invalid, "refused: status 400 parameter_invalid"),
            (Call::Authorise, 401, b"", "refused: status 401 "),
            (Call::Ask, 404, b"<html>", "refused: status 404 "),
            (Call::Authorise, 409, b"", "outcome unknown: status 409 "),
            (Call::Authorise, 429, b"", "outcome unknown: status 429 "),
            (Call::Authorise, 500, b"", "outcome unknown: status 500 "),
            (Call::Void, 502, b"", "outcome unknown: status 502 "),
            (Call::Authorise, 302, b"", "outcome unknown: status 302 "),
        ] {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            assert_eq!(CallError::from_answer(call, status, body).to_string(), expected);
        }
    }
}
