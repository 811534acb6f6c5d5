//! The deadline of the current request: set by the server, inherited by every call made on its behalf.
//!
//! It travels between services as the `grpc-timeout` header, which is relative, so that clocks need not agree. Inside a
//! process it is a task-local; work that a handler spawns does not inherit it, on purpose: such work has outlived the
//! request and needs a deadline of its own.

use std::future::Future;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

/// The header of the gRPC protocol that carries the remaining time.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

tokio::task_local! {
    static DEADLINE: Instant;
}

/// When the current request must be answered; `None` outside a request.
pub fn current() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}

/// What is left of the current request's time; `None` outside a request, zero when it is over.
pub fn remaining() -> Option<Duration> {
    current().map(|deadline| deadline.saturating_duration_since(Instant::now()))
}

/// Runs `work` under `deadline`; calls it makes inherit it. It does not stop the work: the server does.
pub async fn scope<F: Future>(deadline: Instant, work: F) -> F::Output {
    DEADLINE.scope(deadline, work).await
}

/// The earlier of `own` from now and the current request's deadline.
pub(crate) fn within(own: Duration) -> Instant {
    let own = Instant::now() + own;
    current().map_or(own, |inherited| inherited.min(own))
}

/// Reads `grpc-timeout`. A malformed one counts as absent, so that the server's own limit applies.
pub fn from_headers(headers: &HeaderMap) -> Option<Duration> {
    parse(headers.get(GRPC_TIMEOUT)?.to_str().ok()?)
}

/// Reads a `grpc-timeout` value: 1 to 8 digits and one of the units H, M, S, m, u, n.
///
/// Source: gRPC over HTTP/2, "Timeout".
pub fn parse(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Writes `remaining` as a `grpc-timeout` value: microseconds while 8 digits hold them (99 s), else milliseconds (27 h).
pub fn format(remaining: Duration) -> HeaderValue {
    const DIGITS_MAX: u128 = 99_999_999;
    let micros = remaining.as_micros();
    let (amount, unit) =
        if micros <= DIGITS_MAX { (micros, 'u') } else { (remaining.as_millis().min(DIGITS_MAX), 'm') };
    // Digits and a letter are always a header value.
    HeaderValue::try_from(format!("{amount}{unit}")).unwrap_or(HeaderValue::from_static("0n"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_read_and_rubbish_is_not() {
        let read = [
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("5m", Duration::from_millis(5)),
            ("6u", Duration::from_micros(6)),
            ("7n", Duration::from_nanos(7)),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
        ];
        for (text, expected) in read {
            assert_eq!(parse(text), Some(expected), "{text:?}");
        }
        for rubbish in ["", "5", "m", "5x", "-5m", "+5m", "5.0S", "123456789m", "5é", "5 m"] {
            assert_eq!(parse(rubbish), None, "{rubbish:?}");
        }
    }

    proptest! {
        #[test]
        fn prop_format_then_parse_never_grants_more_time(micros in 0_u64..200_000_000) {
            let told = Duration::from_micros(micros);
            let heard = format(told).to_str().ok().and_then(parse);
            prop_assert!(heard.is_some_and(|heard| heard <= told && told - heard < Duration::from_millis(1)));
        }
    }

    #[tokio::test]
    async fn a_call_gets_the_shorter_of_its_own_and_the_inherited_deadline() {
        assert_eq!(remaining(), None);
        let soon = Instant::now() + Duration::from_millis(50);
        scope(soon, async {
            assert_eq!(within(Duration::from_secs(9)), soon);
            assert!(within(Duration::from_millis(1)) < soon);
            assert!(remaining().is_some_and(|left| left <= Duration::from_millis(50)));
        })
        .await;
    }
}
