//! The REST surface over fake services: what goes through, and how bad input is refused.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[allow(dead_code, reason = "shared with other tests, which use the rest")]
mod support;

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use chassis::status::{self, Violation};
use chrono::{TimeDelta, Utc};
use contracts::order::v1::OrderState;
use futures::StreamExt as _;
use ids::CustomerId;
use serde_json::{Value, json};
use support::Rig;
use tower::ServiceExt as _;

const CART: &str = "/v1/carts/01890a5d-ac96-774b-bcce-b302099a8057";

fn lines() -> String {
    format!("{CART}/lines")
}

fn address() -> String {
    format!("{CART}/delivery-address")
}

#[tokio::test]
async fn an_add_reaches_the_cart_with_its_owner_key_and_deadline() {
    let rig = Rig::new().await;
    let (status, body) = rig.ask(rig.request("POST", &lines(), r#"{"offer_id":"85123A","quantity":2}"#)).await;
    assert_eq!(status, 200);
    let line = json!({"offer_id": "85123A", "seller_id": "alder", "title": "T-light holder",
        "unit_price": {"minor_units": 295, "currency": "GBP"}, "quantity": 2,
        "prices": [{"unit_price": {"minor_units": 295, "currency": "GBP"}, "quantity": 1},
                   {"unit_price": {"minor_units": 250, "currency": "GBP"}, "quantity": 1}]});
    assert_eq!(body, json!({"line": line, "version": "v2"}));
    let seen = rig.seen();
    assert_eq!(seen[0].method, "AddLine");
    for part in [&rig.customer.to_string(), "key-1", "85123A", "quantity: 2"] {
        assert!(seen[0].request.contains(part), "{part} in {}", seen[0].request);
    }
    assert!(seen[0].timeout.is_some());
}

#[tokio::test]
async fn a_field_of_another_type_is_explained_in_the_words_of_json() {
    let rig = Rig::new().await;
    for (body, words) in [
        (r#"{"offer_id":"a","quantity":"2"}"#, "must be a whole number"),
        (r#"{"offer_id":7,"quantity":2}"#, "must be a string"),
    ] {
        let (_, problem) = rig.ask(rig.request("POST", &lines(), body)).await;
        assert_eq!(problem["errors"][0]["description"], words, "{problem}");
    }
}

#[tokio::test]
async fn an_address_reaches_the_cart_and_the_cart_shows_all_that_stand() {
    let rig = Rig::new().await;
    let body = r#"{"street":"1 Home Lane","country":"France"}"#;
    for (method, body, call) in [("PUT", body, "SetDeliveryAddress"), ("DELETE", "", "ClearDeliveryAddress")] {
        let (status, answer) = rig.ask(rig.request(method, &address(), body)).await;
        assert_eq!((status.as_u16(), answer), (200, json!({"version": "v2"})));
        let seen = rig.seen().pop().unwrap();
        assert_eq!(seen.method, call);
        for part in [CART.rsplit('/').next().unwrap(), &rig.customer.to_string(), "key-1"] {
            assert!(seen.request.contains(part), "{part} in {}", seen.request);
        }
    }
    for part in ["1 Home Lane", "France"] {
        assert!(rig.seen()[0].request.contains(part), "{part}");
    }
    let (_, cart) = rig.ask(rig.request("GET", CART, "")).await;
    let one = |street| json!({"recipient": "", "street": street, "city": "", "postal_code": "", "country": "France"});
    assert_eq!(cart["delivery_addresses"], json!([one("1 Home Lane"), one("2 Work Street")]));
}

/// The body is the address: what the cart refuses of it is named as the client named it.
#[tokio::test]
async fn a_refused_address_names_the_fields_of_the_body() {
    let rig = Rig::new().await;
    let bounds = "must be 1 to 64 characters, none of them a control character";
    rig.fake.refuse(status::invalid_request(&[("cart_id", "is no UUID"), ("address.country", bounds)]));
    let (answered, problem) = rig.ask(rig.request("PUT", &address(), r#"{"country":""}"#)).await;
    assert_eq!((answered.as_u16(), problem["code"].as_str()), (422, Some("INVALID_REQUEST")), "{problem}");
    let named = json!([{"field": "cart_id", "description": "is no UUID"}, {"field": "country", "description": bounds}]);
    assert_eq!(problem["errors"], named);
    assert_eq!(problem["detail"], format!("cart_id: is no UUID; country: {bounds}"));
}

#[tokio::test]
async fn quantities_are_the_carts_business() {
    let rig = Rig::new().await;
    for quantity in [0, -1, 10_001, i64::MAX] {
        let body = format!(r#"{{"offer_id":"85123A","quantity":{quantity}}}"#);
        rig.send(rig.request("POST", &lines(), body)).await;
        assert!(rig.seen().last().unwrap().request.contains(&format!("quantity: {quantity}")));
    }
}

/// A body that the bff itself refuses, and what it says.
#[tokio::test]
async fn bad_bodies_are_refused_with_the_field_and_reach_no_service() {
    let rig = Rig::new().await;
    let order = |delivery: &str| {
        format!(r#"{{"cart_id":"c","cart_version":"v","card_token":"tok_visa","delivery":{delivery}}}"#)
    };
    let table = [
        (lines(), "".to_owned(), 400, "MALFORMED_JSON", None),
        (lines(), "{".to_owned(), 400, "MALFORMED_JSON", None),
        (lines(), r#"{"offer_id":"a","quantity":1}x"#.to_owned(), 400, "MALFORMED_JSON", None),
        (lines(), r#"{"offer_id":"\ud800","quantity":1}"#.to_owned(), 400, "MALFORMED_JSON", None),
        (lines(), r#"["a",1]"#.to_owned(), 422, "INVALID_REQUEST", Some("body")),
        (lines(), "null".to_owned(), 422, "INVALID_REQUEST", Some("body")),
        (lines(), r#"{"quantity":1}"#.to_owned(), 422, "INVALID_REQUEST", Some("offer_id")),
        (lines(), r#"{"offer_id":"a"}"#.to_owned(), 422, "INVALID_REQUEST", Some("quantity")),
        (lines(), r#"{"offer_id":"a","quantity":"2"}"#.to_owned(), 422, "INVALID_REQUEST", Some("quantity")),
        (lines(), r#"{"offer_id":"a","quantity":1.5}"#.to_owned(), 422, "INVALID_REQUEST", Some("quantity")),
        (
            lines(),
            r#"{"offer_id":"a","quantity":9223372036854775808}"#.to_owned(),
            422,
            "INVALID_REQUEST",
            Some("quantity"),
        ),
        (lines(), r#"{"offer_id":7,"quantity":1}"#.to_owned(), 422, "INVALID_REQUEST", Some("offer_id")),
        (lines(), r#"{"offer_id":"a","quantity":1,"qty":1}"#.to_owned(), 422, "INVALID_REQUEST", Some("qty")),
        ("/v1/orders".to_owned(), order("{}"), 422, "INVALID_REQUEST", Some("delivery.country")),
        ("/v1/orders".to_owned(), order(r#"{"country":5}"#), 422, "INVALID_REQUEST", Some("delivery.country")),
        (
            "/v1/orders/o/returns".to_owned(),
            r#"{"lines":[{"offer_id":"a","quantity":1},{"offer_id":"b"}]}"#.to_owned(),
            422,
            "INVALID_REQUEST",
            Some("lines[1].quantity"),
        ),
        (
            lines(),
            format!(r#"{{"offer_id":"{}","quantity":1}}"#, "x".repeat(limits::BODY_BYTES_MAX)),
            413,
            "BODY_TOO_LARGE",
            None,
        ),
    ];
    let bad_address = [
        ("", 400, "MALFORMED_JSON", None),
        ("[]", 422, "INVALID_REQUEST", Some("body")),
        ("{}", 422, "INVALID_REQUEST", Some("country")),
        (r#"{"country":5}"#, 422, "INVALID_REQUEST", Some("country")),
        (r#"{"country":"France","zip":"1"}"#, 422, "INVALID_REQUEST", Some("zip")),
        (&format!(r#"{{"country":"{}"}}"#, "x".repeat(limits::BODY_BYTES_MAX)), 413, "BODY_TOO_LARGE", None),
    ];
    let bad_address =
        bad_address.map(|(body, status, code, field)| ("PUT", address(), body.to_owned(), status, code, field));
    let posted = table.map(|(path, body, status, code, field)| ("POST", path, body, status, code, field));
    for (method, path, body, status, code, field) in posted.into_iter().chain(bad_address) {
        let shown: String = body.chars().take(80).collect();
        let (answered, problem) = rig.ask(rig.request(method, &path, body)).await;
        assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{shown}: {problem}");
        assert_eq!(problem["errors"][0]["field"].as_str(), field, "{shown}: {problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:marketplace:problem:{code}"));
    }
    assert_eq!(rig.seen().len(), 0, "nothing reached a service");
}

#[tokio::test]
async fn an_oversized_body_of_unknown_length_is_cut_off() {
    let rig = Rig::new().await;
    let chunks = limits::BODY_BYTES_MAX / 1_024 + 1;
    let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1_024])).take(chunks);
    let (status, problem) = rig.ask(rig.request("POST", &lines(), Body::from_stream(chunks))).await;
    assert_eq!((status.as_u16(), problem["code"].as_str()), (413, Some("BODY_TOO_LARGE")));
}

#[tokio::test]
async fn bad_headers_paths_and_parameters_are_refused() {
    let rig = Rig::new().await;
    let bare = |method: &str, path: &str| Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let with = |mut request: Request<Body>, name: &'static str, value: &[u8]| {
        let value = axum::http::HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().insert(name, value);
        request
    };
    let without = |mut request: Request<Body>, name: &str| {
        request.headers_mut().remove(name);
        request
    };
    let good = || rig.request("POST", &lines(), r#"{"offer_id":"a","quantity":1}"#);
    let expired = bff::session::mint(&rig.key, rig.customer, Utc::now() - TimeDelta::seconds(1));
    let other_key = bff::session::SessionKey::from_hex(&"00".repeat(32)).unwrap();
    let forged = bff::session::mint(&other_key, rig.customer, Utc::now() + TimeDelta::minutes(1));
    let table = [
        (bare("GET", CART), 401, "SESSION_MISSING"),
        (with(good(), "authorization", b"Basic dTpw"), 401, "SESSION_MISSING"),
        (with(good(), "authorization", b"Bearer nonsense"), 401, "SESSION_INVALID"),
        (with(good(), "authorization", b"Bearer \xff"), 401, "SESSION_MISSING"),
        (with(good(), "authorization", format!("Bearer {expired}").as_bytes()), 401, "SESSION_INVALID"),
        (with(good(), "authorization", format!("Bearer {forged}").as_bytes()), 401, "SESSION_INVALID"),
        (without(good(), "idempotency-key"), 400, "IDEMPOTENCY_KEY_MISSING"),
        (with(good(), "idempotency-key", b""), 422, "INVALID_REQUEST"),
        (with(good(), "idempotency-key", b"two words"), 422, "INVALID_REQUEST"),
        (with(good(), "idempotency-key", "k".repeat(129).as_bytes()), 422, "INVALID_REQUEST"),
        (without(good(), "content-type"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (with(good(), "content-type", b"text/plain"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (bare("GET", "/"), 404, "NO_SUCH_RESOURCE"),
        (bare("GET", "/v2/offers"), 404, "NO_SUCH_RESOURCE"),
        (rig.request("GET", "/v1/carts/%ff", ""), 404, "NO_SUCH_RESOURCE"),
        (bare("DELETE", "/v1/offers"), 405, "METHOD_NOT_ALLOWED"),
        (rig.request("GET", "/v1/orders?page_size=many", ""), 422, "INVALID_REQUEST"),
        (rig.request("GET", "/v1/orders?page_size=99999999999", ""), 422, "INVALID_REQUEST"),
        (rig.request("GET", "/v1/orders?page=2", ""), 422, "INVALID_REQUEST"),
    ];
    for (request, status, code) in table {
        let shown = format!("{request:?}");
        let response = rig.send(request).await;
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{shown}");
        let (answered, problem) = (response.status(), support::json(response).await);
        assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{shown}: {problem}");
    }
    assert_eq!(rig.seen().len(), 0, "nothing reached a service");
    let (_, problem) = rig.ask(rig.request("GET", "/v1/orders?page_size=many", "")).await;
    assert_eq!(problem["errors"][0]["field"], "page_size", "{problem}");
}

/// Wherever a shopper may have typed it: refused here, repeated nowhere.
#[tokio::test]
async fn a_card_number_is_refused_in_every_field_and_never_repeated() {
    let rig = Rig::new().await;
    let order = |card: &str, street: &str| {
        format!(
            r#"{{"cart_id":"c","cart_version":"v","card_token":{card},"delivery":{{"country":"France","street":"{street}"}}}}"#
        )
    };
    let orders = "/v1/orders";
    let line = |offer: &str| format!(r#"{{"offer_id":{offer},"quantity":1}}"#);
    let cases = [
        ("POST", orders, order(r#""4242424242424242""#, ""), "card_token"),
        ("POST", orders, order("4242424242424242", ""), "card_token"),
        ("POST", orders, order(r#""4242 4242 4242 4242""#, ""), "card_token"),
        ("POST", orders, order(r#""tok_visa""#, "4242-4242-4242-4242"), "delivery.street"),
        ("POST", orders, order(r#""tok_visa""#, r"\u0034242424242424242"), "delivery.street"),
        ("POST", &lines(), line(r#""4242424242424242""#), "offer_id"),
        ("POST", &lines(), r#"{"offer_id":"a","quantity":4242424242424242}"#.to_owned(), "quantity"),
        ("POST", &lines(), r#"{"offer_id":"a","quantity":1,"4242424242424242":1}"#.to_owned(), "body"),
        ("PUT", &address(), r#"{"country":"France","postal_code":"4242 4242 4242 4242"}"#.to_owned(), "postal_code"),
        (
            "POST",
            "/v1/orders/o/returns",
            format!(r#"{{"lines":[{}]}}"#, line(r#""4242424242424242""#)),
            "lines[0].offer_id",
        ),
        ("GET", "/v1/offers/4242424242424242", String::new(), "offer_id"),
        ("DELETE", "/v1/carts/c/lines/4242%204242%204242%204242", String::new(), "offer_id"),
        ("GET", "/v1/carts/4242424242424242", String::new(), "cart_id"),
        ("GET", "/v1/orders/4242424242424242", String::new(), "order_id"),
        ("GET", "/v1/orders?page_token=4242+4242+4242+4242", String::new(), "page_token"),
        ("GET", "/v1/offers?page_size=4242424242424242", String::new(), "page_size"),
    ];
    for (method, path, body, field) in cases {
        let (answered, problem) = rig.ask(rig.request(method, path, body.clone())).await;
        assert_eq!((answered.as_u16(), problem["errors"][0]["field"].as_str()), (422, Some(field)), "{path} {body}");
        assert!(!problem.to_string().contains("4242"), "{path} {body}: {problem}");
    }
    let mut keyed = rig.request("POST", "/v1/carts", "");
    keyed.headers_mut().insert("idempotency-key", "4242424242424242".parse().unwrap());
    let (answered, problem) = rig.ask(keyed).await;
    assert_eq!((answered.as_u16(), problem["errors"][0]["field"].as_str()), (422, Some("Idempotency-Key")));
    assert_eq!(rig.seen().len(), 0, "nothing reached a service");
    // What a service, or a parser, says about it does not repeat it either.
    rig.fake.refuse(status::aborted("CART_VERSION_STALE", "4242424242424242 is no version"));
    let (_, problem) = rig.ask(rig.request("POST", orders, order(r#""tok_visa""#, ""))).await;
    assert!(!problem.to_string().contains("4242"), "{problem}");
    let (_, problem) = rig.ask(rig.request("POST", orders, r#"{"4242424242424242"}"#)).await;
    assert!(!problem.to_string().contains("4242"), "{problem}");
}

/// Bodies that never come to an end hold places among those being received, a share of them, and none of those in flight.
#[tokio::test]
async fn slow_bodies_of_one_session_keep_nobody_else_out() {
    let rig = Rig::new().await;
    let never = || Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::convert::Infallible>>());
    let mut slow = Vec::new();
    for _ in 0..support::IN_FLIGHT_MAX {
        let (router, request) = (rig.router.clone(), rig.request("POST", &lines(), never()));
        slow.push(tokio::spawn(router.oneshot(request)));
    }
    for request in slow.iter_mut().skip(support::IN_FLIGHT_MAX / 4) {
        let refused = request.await.unwrap().unwrap();
        assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    }
    let body = r#"{"offer_id":"a","quantity":1}"#;
    for request in [rig.request("GET", CART, ""), rig.of_another(rig.request("POST", &lines(), body))] {
        assert_eq!(rig.ask(request).await.0, 200);
    }
    let late = slow.remove(0).await.unwrap().unwrap();
    assert_eq!(late.status(), 408);
    assert_eq!(support::json(late).await["code"], "BODY_TOO_SLOW");
}

/// The largest return there is, as a client that indents writes it.
#[tokio::test]
async fn the_largest_return_is_a_legal_body() {
    let rig = Rig::new().await;
    let line = |number: usize| json!({"offer_id": format!("{number:x>64}"), "quantity": 10_000_000});
    let body = json!({"lines": (0..limits::LINES_MAX).map(line).collect::<Vec<_>>()});
    let body = serde_json::to_string_pretty(&body).unwrap();
    let (answered, problem) = rig.ask(rig.request("POST", "/v1/orders/o/returns", body)).await;
    assert_eq!(answered, 201, "{problem}");
}

/// Through the real encoders and decoders on both sides.
#[tokio::test]
async fn the_largest_order_and_the_largest_page_come_through() {
    let rig = Rig::new().await;
    rig.fake.orders_are_as_large_as_they_may_be();
    let (answered, order) = rig.ask(rig.request("GET", "/v1/orders/o", "")).await;
    assert_eq!((answered.as_u16(), order["lines"].as_array().map(Vec::len)), (200, Some(limits::LINES_MAX)));
    assert_eq!(rig.ask(rig.request("GET", "/v1/orders", "")).await.0, 200);
}

#[tokio::test]
async fn a_page_of_an_origin_on_the_list_may_ask_and_no_other() {
    let preflight = |origin: &str| {
        Request::options("/v1/orders")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,idempotency-key,content-type")
            .body(Body::empty())
            .unwrap()
    };
    let allowed = |answer: &axum::http::Response<Body>| answer.headers().get("access-control-allow-origin").cloned();
    let rig = Rig::asked_by_pages_of(&["https://shop.example"]).await;
    let answer = rig.send(preflight("https://shop.example")).await;
    assert_eq!((answer.status().as_u16(), allowed(&answer)), (200, Some("https://shop.example".parse().unwrap())));
    assert!(answer.headers()["access-control-allow-headers"].to_str().unwrap().contains("idempotency-key"));
    assert!(answer.headers().get("access-control-allow-credentials").is_none());
    assert_eq!(allowed(&rig.send(preflight("https://evil.example")).await), None);
    let mut refused = rig.request("GET", "/v1/nowhere", "");
    refused.headers_mut().insert("origin", "https://shop.example".parse().unwrap());
    let answer = rig.send(refused).await;
    assert_eq!(answer.status(), 404);
    assert!(allowed(&answer).is_some(), "a page can read why it was refused");
    let off = Rig::new().await;
    let answer = off.send(preflight("https://shop.example")).await;
    assert_eq!((answer.status().as_u16(), allowed(&answer)), (405, None));
}

#[tokio::test]
async fn a_client_is_told_what_it_did() {
    let rig = Rig::new().await;
    let body = r#"{"offer_id":"a","quantity":1}"#;
    let mut gzip = rig.request("POST", &lines(), body);
    gzip.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    let answer = rig.send(gzip).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["accept-encoding"]), (415, &"identity".parse().unwrap()));
    assert_eq!(support::json(answer).await["code"], "UNSUPPORTED_CONTENT_ENCODING");
    for (media_type, expected) in [
        ("application/json; charset=utf-16", 415),
        ("text/plain", 415),
        ("application/json; charset=\"UTF-8\"", 200),
        ("application/json;charset=utf-8", 200),
    ] {
        let mut request = rig.request("POST", &lines(), body);
        request.headers_mut().insert("content-type", media_type.parse().unwrap());
        assert_eq!(rig.send(request).await.status(), expected, "{media_type}");
    }
    let mut plain = rig.request("POST", &lines(), body);
    plain.headers_mut().insert("content-encoding", "identity".parse().unwrap());
    assert_eq!(rig.send(plain).await.status(), 200);
    let mut twice = rig.request("POST", "/v1/carts", "");
    twice.headers_mut().append("idempotency-key", "key-2".parse().unwrap());
    let (answered, problem) = rig.ask(twice).await;
    assert_eq!((answered.as_u16(), problem["code"].as_str()), (400, Some("IDEMPOTENCY_KEY_REPEATED")));
    let mut twice = rig.request("GET", CART, "");
    twice.headers_mut().append("authorization", "Bearer x".parse().unwrap());
    let (answered, problem) = rig.ask(twice).await;
    assert_eq!((answered.as_u16(), problem["code"].as_str()), (400, Some("AUTHORIZATION_REPEATED")));
    let (_, problem) = rig.ask(rig.request("POST", &lines(), "\u{feff}{}")).await;
    assert!(problem["detail"].as_str().unwrap().contains("byte order mark"), "{problem}");
}

#[tokio::test]
async fn every_mutating_route_but_cancel_and_sessions_wants_an_idempotency_key() {
    let rig = Rig::new().await;
    let returns = "/v1/orders/o/returns";
    let line = format!("{CART}/lines/85123A");
    let wanting = [
        ("POST", "/v1/carts"),
        ("POST", &lines()),
        ("PUT", &line),
        ("DELETE", &line),
        ("PUT", &address()),
        ("DELETE", &address()),
        ("POST", "/v1/orders"),
        ("POST", returns),
    ];
    for (method, path) in wanting {
        let mut request = rig.request(method, path, "{}");
        request.headers_mut().remove("idempotency-key");
        let (status, problem) = rig.ask(request).await;
        assert_eq!(
            (status.as_u16(), problem["code"].as_str()),
            (400, Some("IDEMPOTENCY_KEY_MISSING")),
            "{method} {path}"
        );
    }
    let mut cancel = rig.request("POST", "/v1/orders/o/cancel", "");
    cancel.headers_mut().remove("idempotency-key");
    assert_eq!(rig.ask(cancel).await.0, 200);
}

#[tokio::test]
async fn refusals_of_services_become_problems() {
    let rig = Rig::new().await;
    let short = [Violation::new("OUT_OF_STOCK", "85123A", "3 left")];
    let table = [
        (status::invalid_request(&[("quantity", "must be 1 to 10,000")]), 422),
        (status::not_found("CART_NOT_FOUND", "no such cart"), 404),
        (status::already_exists("IDEMPOTENCY_KEY_REUSED", "used before"), 409),
        (status::aborted("CART_VERSION_STALE", "read it again"), 409),
        (status::failed_precondition("CARD_DECLINED", "declined", &[]), 402),
        (status::failed_precondition("OUT_OF_STOCK", "out of stock", &short), 409),
        (status::internal(&std::fmt::Error), 500),
        (status::deadline_exceeded("too slow"), 504),
        (status::unavailable("OVERLOADED", "later", Duration::from_millis(1)), 503),
    ];
    let order = r#"{"cart_id":"c","cart_version":"v","card_token":"tok_visa","delivery":{"country":"France"}}"#;
    for (refusal, expected) in table {
        let reason = status::reason(&refusal).unwrap();
        rig.fake.refuse(refusal);
        let (answered, problem) = rig.ask(rig.request("POST", "/v1/orders", order)).await;
        assert_eq!((answered.as_u16(), problem["code"].as_str()), (expected, Some(reason.as_str())), "{problem}");
        if reason == "OUT_OF_STOCK" {
            assert_eq!(problem["lines"], json!([{"offer_id": "85123A", "description": "3 left"}]));
        }
        if reason == "INVALID_REQUEST" {
            assert_eq!(problem["errors"], json!([{"field": "quantity", "description": "must be 1 to 10,000"}]));
        }
    }
}

#[tokio::test]
async fn a_pending_order_is_accepted_and_a_placed_one_created() {
    let rig = Rig::new().await;
    let order = r#"{"cart_id":"c","cart_version":"v","card_token":"tok_visa","delivery":{"country":"France"}}"#;
    for (state, expected, name) in [(OrderState::Placed, 201, "placed"), (OrderState::Pending, 202, "pending")] {
        rig.fake.order_is(state);
        let response = rig.send(rig.request("POST", "/v1/orders", order)).await;
        assert_eq!(response.status(), expected);
        assert_eq!(response.headers()["location"], "/v1/orders/01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(support::json(response).await["state"], name);
    }
}

#[tokio::test]
async fn a_session_is_good_for_a_cart_of_its_own() {
    let rig = Rig::new().await;
    let request = Request::post("/v1/sessions").body(Body::empty()).unwrap();
    let (status, session) = rig.ask(request).await;
    assert_eq!(status, 201);
    let customer: CustomerId = session["customer_id"].as_str().unwrap().parse().unwrap();
    let token = session["token"].as_str().unwrap();
    assert_eq!(bff::session::verify(&rig.key, token, Utc::now()).unwrap().customer, customer);
    let mut request = rig.request("POST", "/v1/carts", "");
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    assert_eq!(rig.ask(request).await.0, 201);
    assert!(rig.seen()[0].request.contains(&customer.to_string()));
}

#[tokio::test]
async fn the_document_and_the_router_have_the_same_routes() {
    let rig = Rig::new().await;
    let (status, document) = rig.ask(Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    assert_eq!(status, 200);
    // A stream would never be read to its end.
    rig.fake.refuse(status::not_found("CART_NOT_FOUND", "no such cart"));
    let paths = document["paths"].as_object().unwrap();
    let mut operations = 0;
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace(['{', '}'], "");
            let (status, body) = rig.ask(rig.request(&method.to_uppercase(), &path, "{}")).await;
            let unrouted = matches!(body["code"].as_str(), Some("NO_SUCH_RESOURCE" | "METHOD_NOT_ALLOWED"));
            assert!(!unrouted, "{method} {path}: {status}");
            operations += 1;
        }
    }
    assert_eq!(operations, 16);
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in ["Cart", "Delivery", "Line", "Money", "Offer", "Order", "Problem", "Return", "Session"] {
        assert!(schemas.contains_key(name), "{name}");
    }
    assert_eq!(document["components"]["securitySchemes"]["session"]["scheme"], Value::from("bearer"));
}
