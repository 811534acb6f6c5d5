//! The fault panel and the webhooks.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Psp, Receiver, SECRET, config};

#[tokio::test]
async fn a_time_out_after_the_work_leaves_a_charge_that_asking_finds() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    assert_eq!(psp.set_faults(json!({"timeout_after_work": 1.0, "timeout_hold_ms": 20})).await, 200);
    assert_eq!(psp.authorise("a", "order-1", 500).await.0, 504);
    psp.set_faults(json!({})).await;
    let (_, found) = psp.get("/v1/payment_intents?reference=order-1").await;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    // Trying again under the same key does not charge again.
    assert_eq!(psp.authorise("a", "order-1", 500).await, (200, found["data"][0].clone()));
    assert_eq!(psp.ledger_types().await.len(), 1);
}

#[tokio::test]
async fn a_time_out_before_the_work_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    psp.set_faults(json!({"timeout_before_work": 1.0, "timeout_hold_ms": 20})).await;
    assert_eq!(psp.authorise("a", "order-1", 500).await.0, 504);
    assert!(psp.ledger_types().await.is_empty());
}

#[tokio::test]
async fn a_server_error_says_nothing_about_whether_the_work_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    psp.set_faults(json!({"server_error": 1.0})).await;
    for number in 0..20 {
        assert_eq!(psp.authorise(&format!("k{number}"), "order-1", 500).await.0, 500);
    }
    let done = psp.ledger_types().await.len();
    assert!((1..20).contains(&done), "{done} of 20 done");
}

#[tokio::test]
async fn latency_is_added_and_senseless_settings_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    psp.set_faults(json!({"latency_ms": 60})).await;
    let start = Instant::now();
    psp.authorise("a", "order-1", 500).await;
    assert!(start.elapsed() >= Duration::from_millis(60));
    for refused in [json!({"server_error": 2}), json!({"latency_ms": -1}), json!({"unknown": 1}), json!("x")] {
        assert_eq!(psp.set_faults(refused.clone()).await, 400, "{refused}");
    }
    assert_eq!(psp.get("/faults").await.1["latency_ms"], json!(60));
}

#[tokio::test]
async fn webhooks_are_signed_and_tried_until_they_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(2).await;
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), Some(&receiver.url))).await;
    let (_, intent) = psp.authorise("a", "order-1", 500).await;
    let deliveries = receiver.wait_for(3).await;
    let event: Value = serde_json::from_slice(&deliveries[2].1).unwrap();
    assert_eq!(event["type"], json!("payment_intent.authorised"));
    assert_eq!(event["data"]["object"], intent);
    for (signature, body) in &deliveries {
        assert_eq!(body, &deliveries[0].1, "every try carries the same event");
        let time = signature.strip_prefix("t=").unwrap().split(',').next().unwrap().parse().unwrap();
        assert_eq!(signature, &psp::webhook::signature(SECRET, time, body));
    }
    // A repeat of the request is no new event.
    psp.authorise("a", "order-1", 500).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(receiver.deliveries.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn webhooks_can_come_twice_and_out_of_order() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(0).await;
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), Some(&receiver.url))).await;
    psp.set_faults(json!({"duplicate_webhook": 1.0, "webhook_delay_ms": 200})).await;
    for number in 0..10 {
        psp.authorise(&format!("k{number}"), &format!("order-{number}"), 500).await;
    }
    let deliveries = receiver.wait_for(20).await;
    let references: Vec<String> = deliveries
        .iter()
        .map(|(_, body)| serde_json::from_slice::<Value>(body).unwrap()["data"]["object"]["reference"].to_string())
        .collect();
    assert!(!references.is_sorted(), "{references:?}");
    for number in 0..10 {
        let reference = json!(format!("order-{number}")).to_string();
        assert_eq!(references.iter().filter(|seen| **seen == reference).count(), 2);
    }
}
