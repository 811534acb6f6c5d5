//! What callers can do with money, and what the provider does not protect them from.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use reqwest::Method;
use serde_json::json;
use support::{Psp, answer, config, intent_body};

#[tokio::test]
async fn an_order_is_authorised_captured_and_refunded() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    let (status, intent) = psp.authorise("a", "order-1", 7_718_360).await;
    assert_eq!((status, &intent["status"], &intent["amount"]), (200, &json!("requires_capture"), &json!(7_718_360)));
    let id = intent["id"].as_str().unwrap();

    let (status, captured) = psp.post(&format!("/v1/payment_intents/{id}/capture"), "c", json!({})).await;
    assert_eq!((status, &captured["amount_captured"]), (200, &json!(7_718_360)));

    let refund = json!({"payment_intent": id, "amount": 100, "reference": "return-1"});
    let (status, refunded) = psp.post("/v1/refunds", "r", refund).await;
    assert_eq!((status, &refunded["status"], &refunded["amount"]), (200, &json!("succeeded"), &json!(100)));
    let (_, refunds) = psp.get("/v1/refunds?reference=return-1").await;
    assert_eq!(refunds["data"], json!([refunded]));

    let too_much = json!({"payment_intent": id, "amount": 7_718_261, "reference": "return-2"});
    let (status, refused) = psp.post("/v1/refunds", "r2", too_much).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!("amount_too_large")));
    let (_, now) = psp.get(&format!("/v1/payment_intents/{id}")).await;
    assert_eq!(now["amount_refunded"], json!(100));
    let (status, _) = psp.post(&format!("/v1/payment_intents/{id}/cancel"), "x", json!({})).await;
    assert_eq!(status, 400);
}

/// The point of this stand-in: it lets a careless caller charge twice, and shows it.
#[tokio::test]
async fn charging_one_order_under_two_keys_is_possible_and_visible() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    for key in ["first", "second"] {
        let (_, intent) = psp.authorise(key, "order-1", 500).await;
        let path = format!("/v1/payment_intents/{}/capture", intent["id"].as_str().unwrap());
        assert_eq!(psp.post(&path, &format!("{key}-capture"), json!({})).await.0, 200);
    }
    let (_, found) = psp.get("/v1/payment_intents?reference=order-1").await;
    assert_eq!(found["data"].as_array().unwrap().len(), 2);
    let captures = psp.ledger_types().await.iter().filter(|kind| *kind == "payment_intent.captured").count();
    assert_eq!(captures, 2);
}

#[tokio::test]
async fn a_repeated_key_gives_the_stored_answer_and_another_body_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    let first = psp.authorise("a", "order-1", 500).await;
    let id = first.1["id"].as_str().unwrap();
    psp.post(&format!("/v1/payment_intents/{id}/capture"), "c", json!({"amount": 400})).await;
    // The answer of then, not the state of now.
    assert_eq!(psp.authorise("a", "order-1", 500).await, first);
    let (status, refused) = psp.authorise("a", "order-1", 501).await;
    assert_eq!((status, &refused["error"]["code"]), (400, &json!("idempotency_key_reused")));
    let (status, _) = psp.post(&format!("/v1/payment_intents/{id}/capture"), "a", json!({})).await;
    assert_eq!(status, 400);
    assert_eq!(psp.ledger_types().await.len(), 2);
    // The same key of another account is another key.
    let west = psp.request_as("sk_west", Method::POST, "/v1/payment_intents").header("idempotency-key", "a");
    let (status, other) = answer(west.json(&intent_body("order-2", 1, "tok_visa"))).await;
    assert_eq!(status, 200);
    assert_ne!(other["id"], first.1["id"]);
}

#[tokio::test]
async fn declining_tokens_decline_for_good_and_leave_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    for (token, decline_code) in [
        ("tok_chargeDeclined", "generic_decline"),
        ("tok_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("tok_expired", "expired_card"),
    ] {
        for _ in 0..2 {
            let (status, refused) = psp.post("/v1/payment_intents", token, intent_body("order-1", 500, token)).await;
            assert_eq!((status, &refused["error"]["code"]), (402, &json!("card_declined")));
            assert_eq!(refused["error"]["decline_code"], json!(decline_code));
        }
    }
    assert_eq!(psp.ledger_types().await, vec!["payment_intent.declined"; 3]);
    let (_, found) = psp.get("/v1/payment_intents?reference=order-1").await;
    assert_eq!(found["data"], json!([]));
}

#[tokio::test]
async fn bad_requests_get_a_clear_error_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    let good = intent_body("order-1", 500, "tok_visa");
    let post = |key: &'static str| psp.request(Method::POST, "/v1/payment_intents").header("idempotency-key", key);
    let cases = [
        (psp.request_as("sk_nobody", Method::POST, "/v1/payment_intents").json(&good), 401, "api_key_invalid"),
        (psp.request(Method::POST, "/v1/payment_intents").json(&good), 400, "idempotency_key_missing"),
        (post("k1").body("{"), 400, "body_invalid"),
        (post("k2").json(&json!({"amount": 1.5})), 400, "body_invalid"),
        (post("k3").json(&intent_body("order-1", 0, "tok_visa")), 400, "parameter_invalid"),
        (post("k4").json(&intent_body("order-1", 500, "tok_unknown")), 400, "parameter_invalid"),
        (psp.request(Method::GET, "/v1/payment_intents/pi_1"), 404, "resource_missing"),
        (psp.request(Method::GET, "/v2"), 404, "resource_missing"),
    ];
    for (request, status, code) in cases {
        let (actual, body) = answer(request).await;
        assert_eq!((actual, &body["error"]["code"]), (status, &json!(code)), "{body}");
    }
    assert_eq!(answer(post("k5").body("x".repeat(20_000))).await.0, 413);
    assert!(psp.ledger_types().await.is_empty());
}

#[tokio::test]
async fn no_account_sees_anothers_intents() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    let (_, intent) = psp.authorise("a", "order-1", 500).await;
    let path = format!("/v1/payment_intents/{}", intent["id"].as_str().unwrap());
    assert_eq!(answer(psp.request_as("sk_west", Method::GET, &path)).await.0, 404);
    let capture = psp.request_as("sk_west", Method::POST, &format!("{path}/capture")).header("idempotency-key", "c");
    assert_eq!(answer(capture).await.0, 404);
    let (_, found) = answer(psp.request_as("sk_west", Method::GET, "/v1/payment_intents?reference=order-1")).await;
    assert_eq!(found["data"], json!([]));
}
