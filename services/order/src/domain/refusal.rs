//! Why an order was refused, kept so that a repeat of the request gets the same answer.

/// What the caller should do about a refusal; one gRPC code each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// Fix the request.
    InvalidRequest,
    /// Name something that exists.
    NotFound,
    /// Use another key: this one names another request.
    AlreadyExists,
    /// Change the state of the world first (other lines, another card).
    FailedPrecondition,
    /// Read again and try again.
    Aborted,
}

/// A definite no: it had no effect and will be given again to the same request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused ({reason}): {message}")]
pub struct Refusal {
    /// What to do about it.
    pub kind: RefusalKind,
    /// Stable name in capitals, such as `OUT_OF_STOCK`.
    pub reason: String,
    /// For people.
    pub message: String,
    /// What in particular, such as one per line that is short.
    pub violations: Vec<Violation>,
}

/// One thing that stands in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What kind, such as `OUT_OF_STOCK`.
    pub kind: String,
    /// What it is about, such as an offer id or a field.
    pub subject: String,
    /// For people.
    pub description: String,
}

impl Refusal {
    /// A refusal with nothing particular to point at.
    pub fn new(kind: RefusalKind, reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), message: message.into(), violations: Vec::new() }
    }

    /// The outcome of a step stayed unknown until the saga's time was up. `Aborted` and not "unavailable, retry": a repeat
    /// under the same key gets this same answer.
    pub fn placement_timed_out(waiting_for: &str) -> Self {
        let message =
            format!("{waiting_for} did not answer in time; the order was not placed, order again with a new key");
        Self::new(RefusalKind::Aborted, "PLACEMENT_TIMED_OUT", message)
    }

    /// An operator had the order unwound. `Aborted` for the same reason.
    pub fn called_off() -> Self {
        Self::new(RefusalKind::Aborted, "ORDER_CALLED_OFF", "the order could not be placed; order again with a new key")
    }
}
