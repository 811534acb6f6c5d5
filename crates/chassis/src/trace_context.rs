//! W3C trace context: which trace the current work belongs to, and how it travels.
//!
//! Between services the context is the `traceparent` header, of HTTP, gRPC and Kafka alike. Inside a process it belongs to
//! the current `tracing` span: [`crate::telemetry`] gives every span an identity, inherited or new.

use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, HeaderValue};
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan as _;

/// The header's name, in HTTP, gRPC and Kafka.
pub const TRACEPARENT: &str = "traceparent";

/// The target of our spans; [`crate::telemetry`] keeps it on whatever the log filter says.
pub(crate) const TARGET: &str = "trace_context";

/// The identity of a span: its trace, itself, and whether it is recorded.
///
/// Source: W3C Trace Context, level 1. Neither id is ever zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace, shared by everything done for one request.
    pub trace_id: u128,
    /// The span that continues it.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

/// The text is not a `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The root of a new trace.
    pub(crate) fn root() -> Self {
        Self { trace_id: rand::random::<u128>().max(1), span_id: rand::random::<u64>().max(1), sampled: true }
    }

    /// A new span of the same trace.
    pub(crate) fn child(self) -> Self {
        Self { span_id: rand::random::<u64>().max(1), ..self }
    }

    /// The trace id as logs and problems show it: 32 hexadecimal digits.
    pub fn trace_id_text(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.split('-');
        let (version, trace, span, flags) = (parts.next(), parts.next(), parts.next(), parts.next());
        let version = lower_hex(version, 2)?;
        // A later version may add parts; version 00 has exactly four; ff is forbidden.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return Err(InvalidTraceParent);
        }
        let trace_id = lower_hex(trace, 32)?;
        let span_id = u64::try_from(lower_hex(span, 16)?).map_err(|_| InvalidTraceParent)?;
        let flags = lower_hex(flags, 2)?;
        if trace_id == 0 || span_id == 0 {
            return Err(InvalidTraceParent);
        }
        Ok(Self { trace_id, span_id, sampled: flags & 1 == 1 })
    }
}

fn lower_hex(part: Option<&str>, digits: usize) -> Result<u128, InvalidTraceParent> {
    let part = part.filter(|part| part.len() == digits).ok_or(InvalidTraceParent)?;
    if !part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(InvalidTraceParent);
    }
    u128::from_str_radix(part, 16).map_err(|_| InvalidTraceParent)
}

/// The identity of the current span; `None` outside any span, or before [`crate::telemetry::init`].
pub fn current() -> Option<TraceParent> {
    tracing::dispatcher::get_default(|dispatch| {
        let id = dispatch.current_span().id().cloned()?;
        let registry = dispatch.downcast_ref::<Registry>()?;
        registry.span(&id)?.extensions().get::<TraceParent>().copied()
    })
}

/// The current span as a `traceparent`, for an event's headers or an outbox row.
pub fn current_traceparent() -> Option<String> {
    current().map(|parent| parent.to_string())
}

/// The current trace's id, 32 hexadecimal digits.
pub fn current_trace_id() -> Option<String> {
    current().map(|parent| parent.trace_id_text())
}

/// A span that continues the trace of `traceparent`, as found in a header or an outbox row. Without one, or with a
/// malformed one, it continues the current span's trace or starts a new one.
///
/// `name` says what is done: an RPC's path, a topic, a worker.
pub fn span_with_parent(name: &str, traceparent: Option<&str>) -> Span {
    // Never filtered out: logs and calls take their trace id from it.
    match traceparent {
        Some(traceparent) => tracing::error_span!(target: TARGET, "work", name, traceparent),
        None => tracing::error_span!(target: TARGET, "work", name),
    }
}

/// The `traceparent` of a request's headers.
pub fn from_headers(headers: &HeaderMap) -> Option<&str> {
    headers.get(TRACEPARENT)?.to_str().ok()
}

/// Adds the current span's `traceparent` to the headers of a request that is about to be sent.
pub fn inject(headers: &mut HeaderMap) {
    let value = current().and_then(|parent| HeaderValue::try_from(parent.to_string()).ok());
    if let Some(value) = value {
        headers.insert(TRACEPARENT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn text_round_trips() {
        assert_eq!(VALID.parse::<TraceParent>().map(|parent| parent.to_string()).as_deref(), Ok(VALID));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
        assert!(later.parse::<TraceParent>().is_ok());
    }

    #[test]
    fn rubbish_is_refused() {
        let refused = [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ];
        for text in refused {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text:?}");
        }
    }
}
