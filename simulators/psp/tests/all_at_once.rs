//! The faults that make a provider hostile rather than merely slow, and the counts that prove them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Psp, Receiver, SECRET, config};

async fn count(psp: &Psp, name: &str) -> u64 {
    psp.get("/faults/counts").await.1[name].as_u64().unwrap()
}

/// Waits until a fault was counted so often.
async fn counted(psp: &Psp, name: &str, times: u64) {
    let start = Instant::now();
    while count(psp, name).await < times {
        assert!(start.elapsed() < Duration::from_secs(20), "{name} did not come to {times}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn event(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn a_straggler_lands_after_its_caller_has_asked_in_vain() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    psp.set_faults(json!({"straggler": 1.0, "straggler_ms": 300, "timeout_hold_ms": 20})).await;
    assert_eq!(psp.authorise("a", "order-1", 500).await.0, 504);
    psp.set_faults(json!({})).await;
    assert_eq!(psp.get("/v1/payment_intents?reference=order-1").await.1["data"], json!([]));
    assert_eq!(psp.authorise("another key", "order-1", 500).await.0, 200);
    counted(&psp, "straggler", 1).await;
    assert_eq!(psp.ledger_types().await.len(), 2, "charged twice, as the careless deserve");
}

#[tokio::test]
async fn a_straggler_under_the_same_key_meets_its_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    psp.set_faults(json!({"straggler": 1.0, "straggler_ms": 100, "timeout_hold_ms": 20})).await;
    psp.authorise("a", "order-1", 500).await;
    psp.set_faults(json!({})).await;
    assert_eq!(psp.authorise("a", "order-1", 500).await.0, 200);
    counted(&psp, "replays", 1).await;
    assert_eq!(psp.ledger_types().await.len(), 1);
    assert_eq!(count(&psp, "straggler").await, 0, "it wrote nothing, so it does not count");
}

#[tokio::test]
async fn a_good_card_is_declined_at_random_and_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    psp.set_faults(json!({"decline": 1.0})).await;
    let (status, refused) = psp.authorise("a", "order-1", 500).await;
    assert_eq!((status, &refused["error"]["decline_code"]), (402, &json!("generic_decline")));
    psp.set_faults(json!({})).await;
    assert_eq!(psp.authorise("a", "order-1", 500).await.0, 402, "the key has its answer");
    assert_eq!(count(&psp, "decline").await, 1);
}

#[tokio::test]
async fn a_partial_capture_takes_less_and_refunds_stay_within_it() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    let (_, intent) = psp.authorise("a", "order-1", 500).await;
    let (_, penny) = psp.authorise("b", "order-2", 1).await;
    psp.set_faults(json!({"partial_capture": 1.0})).await;
    let capture = |intent: &Value| format!("/v1/payment_intents/{}/capture", intent["id"].as_str().unwrap());
    let (status, captured) = psp.post(&capture(&intent), "c", json!({})).await;
    let taken = captured["amount_captured"].as_i64().unwrap();
    assert_eq!((status, &captured["status"]), (200, &json!("succeeded")));
    assert!((1..500).contains(&taken), "{taken}");
    assert_eq!(psp.post(&capture(&intent), "c", json!({})).await.1, captured, "and says the same again");
    assert_eq!(psp.post(&capture(&penny), "d", json!({})).await.1["amount_captured"], 1, "a penny has no part");
    let refund = json!({"payment_intent": intent["id"], "amount": taken + 1, "reference": "r"});
    assert_eq!(psp.post("/v1/refunds", "r", refund).await.0, 400);
    assert_eq!(count(&psp, "partial_capture").await, 1);
}

#[tokio::test]
async fn a_slow_answer_is_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    psp.set_faults(json!({"slow": 1.0, "slow_ms": 60})).await;
    let start = Instant::now();
    assert_eq!(psp.authorise("a", "order-1", 500).await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!((count(&psp, "slow").await, count(&psp, "calls").await), (1, 1));
}

#[tokio::test]
async fn a_later_webhook_of_a_payment_passes_the_one_held_back() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(0).await;
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), Some(&receiver.url))).await;
    psp.set_faults(json!({"reorder_webhook": 1.0})).await;
    let (_, intent) = psp.authorise("a", "order-1", 500).await;
    psp.set_faults(json!({})).await;
    psp.post(&format!("/v1/payment_intents/{}/capture", intent["id"].as_str().unwrap()), "c", json!({})).await;
    counted(&psp, "reorder_webhook", 1).await;
    let types: Vec<_> =
        receiver.wait_for(2).await.iter().map(|(_, body)| event(body)["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["payment_intent.captured", "payment_intent.authorised"]);
}

/// This receiver believes everybody, so the panel must say so.
#[tokio::test]
async fn impostors_come_beside_the_true_webhook() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(0).await;
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), Some(&receiver.url))).await;
    psp.set_faults(json!({"forged_signature": 1.0, "forged_content": 1.0, "replayed_webhook": 1.0})).await;
    let (_, intent) = psp.authorise("a", "order-1", 500).await;
    let deliveries = receiver.wait_for(4).await;
    counted(&psp, "webhooks_delivered", 1).await;
    let now: i64 = chrono::Utc::now().timestamp();
    let mut seen: Vec<_> = deliveries
        .iter()
        .map(|(header, body)| {
            let time: i64 = header.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
            let well_signed = *header == psp::webhook::signature(SECRET, time, body);
            let says_the_truth = event(body)["data"]["object"] == intent;
            (well_signed, says_the_truth, now - time > 3_000)
        })
        .collect();
    seen.sort_unstable();
    let (wrong_signature, lie, truth, old) =
        ((false, true, false), (true, false, false), (true, true, false), (true, true, true));
    assert_eq!(seen, [wrong_signature, lie, truth, old]);
    for name in ["forged_signature", "forged_content", "replayed_webhook"] {
        assert_eq!(count(&psp, name).await, 1, "{name}");
    }
    assert_eq!(count(&psp, "forgeries_believed").await, 2);
    assert_eq!(psp.ledger_types().await.len(), 1, "nothing of it happened");
}

/// What `PUT /faults` of before still does, and counts of what did not happen stay at zero.
#[tokio::test]
async fn faults_that_are_left_out_are_off() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    psp.set_faults(json!({"timeout_after_work": 1.0, "timeout_hold_ms": 10})).await;
    psp.authorise("a", "order-1", 500).await;
    psp.authorise("a", "order-1", 500).await;
    psp.set_faults(json!({"timeout_before_work": 1.0, "timeout_hold_ms": 10})).await;
    psp.authorise("b", "order-2", 500).await;
    psp.set_faults(json!({})).await;
    psp.authorise("c", "order-3", 500).await;
    let (_, counts) = psp.get("/faults/counts").await;
    let happened: Vec<_> = counts
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, n)| **n != json!(0))
        .map(|(name, n)| format!("{name} {n}"))
        .collect();
    assert_eq!(happened, ["calls 4", "replays 1", "timeout_after_work 1", "timeout_before_work 1"]);
}
