//! The mapping of refusals, as a table.
use chassis::status::Violation;

use super::*;

#[test]
fn each_refusal_has_its_status() {
    let soon = Duration::from_millis(100);
    let refused = |reason| status::failed_precondition(reason, "refused", &[]);
    let table = [
        (status::invalid_request(&[("quantity", "1 to 10,000")]), 422, "INVALID_REQUEST"),
        (status::not_found("CART_NOT_FOUND", "no such cart"), 404, "CART_NOT_FOUND"),
        (status::not_found("ORDER_NOT_FOUND", "no such order"), 404, "ORDER_NOT_FOUND"),
        (status::already_exists("IDEMPOTENCY_KEY_REUSED", "used before"), 409, "IDEMPOTENCY_KEY_REUSED"),
        (status::aborted("CART_VERSION_STALE", "read again"), 409, "CART_VERSION_STALE"),
        (refused("CART_EMPTY"), 409, "CART_EMPTY"),
        (refused("CART_FULL"), 409, "CART_FULL"),
        (refused("OUT_OF_STOCK"), 409, "OUT_OF_STOCK"),
        (refused("ORDER_ALREADY_SHIPPED"), 409, "ORDER_ALREADY_SHIPPED"),
        (refused("RETURN_EXCEEDS_ORDER"), 409, "RETURN_EXCEEDS_ORDER"),
        (refused("CARD_DECLINED"), 402, "CARD_DECLINED"),
        (status::unavailable("OVERLOADED", "later", soon), 503, "OVERLOADED"),
        (status::resource_exhausted("TOO_MANY_WATCHERS", "later", soon), 503, "TOO_MANY_WATCHERS"),
        (status::resource_exhausted("ANOTHER_BOUND", "later", soon), 429, "ANOTHER_BOUND"),
        (status::deadline_exceeded("too slow"), 504, "DEADLINE_EXCEEDED"),
        (status::internal(&std::fmt::Error), 500, "INTERNAL"),
        (Status::unavailable("raw"), 503, "DEPENDENCY_UNAVAILABLE"),
        (Status::cancelled("raw"), 504, "DEADLINE_EXCEEDED"),
        (Status::unimplemented("raw"), 500, "INTERNAL"),
        (Status::unknown("raw"), 500, "INTERNAL"),
    ];
    for (status, http, code) in table {
        let shown = format!("{status:?}");
        let problem = Problem::from(status);
        assert_eq!((problem.status, problem.code.as_str()), (http, code), "{shown}");
    }
}

#[test]
fn every_code_has_a_status_of_an_error() {
    for code in (0..=16).map(Code::from) {
        let http = http_status(code, "");
        assert!(http.is_client_error() || http.is_server_error(), "{code:?} became {http}");
    }
}

#[test]
fn internals_never_show() {
    let leaky = Status::internal("password=hunter2");
    let text = serde_json::to_string(&Problem::from(leaky)).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn lines_and_fields_are_carried_over() {
    let short = [Violation::new("OUT_OF_STOCK", "85123A-255", "3 left")];
    let problem = Problem::from(status::failed_precondition("OUT_OF_STOCK", "out of stock", &short));
    assert_eq!(problem.lines, [LineProblem { offer_id: "85123A-255".into(), description: "3 left".into() }]);
    let problem = Problem::from(status::invalid_request(&[("lines[0].quantity", "at least 1")]));
    assert_eq!(problem.errors, [FieldError { field: "lines[0].quantity".into(), description: "at least 1".into() }]);
}

#[test]
fn retry_after_is_whole_seconds_rounded_up() {
    for (wait_ms, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2")] {
        let wait = Duration::from_millis(wait_ms);
        let response = Problem::from(status::unavailable("OVERLOADED", "later", wait)).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], seconds);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}

#[test]
fn titles_read_like_words() {
    assert_eq!(title("CART_NOT_FOUND"), "Cart not found");
}
