//! Listing what was made in a span of time, page by page.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Psp, answer, config};

/// Every page of a list, followed as a client does; asserts that pages are full but for the last.
async fn all(psp: &Psp, path: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut after) = (Vec::<Value>::new(), String::new());
    loop {
        let (status, page) = psp.get(&format!("{path}&limit={limit}{after}")).await;
        assert_eq!(status, 200, "{page}");
        let data = page["data"].as_array().unwrap().clone();
        assert!(data.len() == limit || page["has_more"] == json!(false));
        all.extend(data);
        if page["has_more"] == json!(false) {
            return all;
        }
        after = format!("&starting_after={}", all.last().unwrap()["id"].as_str().unwrap());
    }
}

#[tokio::test]
async fn every_intent_and_refund_of_a_span_is_listed_once() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    let from = chrono::Utc::now().timestamp();
    let mut made = Vec::new();
    for number in 0..7 {
        let (_, intent) = psp.authorise(&format!("a{number}"), &format!("order-{number}"), 500).await;
        let id = intent["id"].as_str().unwrap().to_owned();
        psp.post(&format!("/v1/payment_intents/{id}/capture"), &format!("c{number}"), json!({})).await;
        let refund = json!({"payment_intent": id, "amount": 1, "reference": format!("refund-{number}")});
        psp.post("/v1/refunds", &format!("r{number}"), refund).await;
        made.push(id);
    }
    let to = chrono::Utc::now().timestamp() + 1;
    let span = format!("created[gte]={from}&created[lt]={to}");
    for limit in [2, 7, 100] {
        let listed = all(&psp, &format!("/v1/payment_intents?{span}"), limit).await;
        let created: Vec<_> = listed.iter().map(|intent| intent["created"].as_i64().unwrap()).collect();
        assert!(created.is_sorted_by(|newer, older| newer >= older), "newest first: {created:?}");
        assert!(listed.iter().all(|intent| intent["amount_captured"] == 500), "as it stands now");
        let mut ids: Vec<_> = listed.iter().map(|intent| intent["id"].as_str().unwrap().to_owned()).collect();
        ids.sort_unstable();
        made.sort_unstable();
        assert_eq!(ids, made);
        assert_eq!(all(&psp, &format!("/v1/refunds?{span}"), limit).await.len(), 7);
    }
    for elsewhere in [format!("created[gte]={to}"), format!("created[lt]={from}")] {
        assert!(all(&psp, &format!("/v1/payment_intents?{elsewhere}"), 10).await.is_empty());
    }
    let (_, west) = answer(psp.request_as("sk_west", Method::GET, "/v1/payment_intents?created[gte]=0")).await;
    assert_eq!(west, json!({"data": [], "has_more": false}), "no account sees another's");
    assert_eq!(psp.get("/v1/payment_intents?starting_after=x").await.0, 400);
}
