//! What the ledger file holds is what the provider knows, also after it was killed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::io::Write;

use serde_json::json;
use support::{Psp, config};

#[tokio::test]
async fn a_restarted_provider_knows_what_it_told() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.jsonl");
    let psp = Psp::start(config(&ledger, None)).await;
    let first = psp.authorise("a", "order-1", 500).await;
    let path = format!("/v1/payment_intents/{}", first.1["id"].as_str().unwrap());
    psp.post(&format!("{path}/capture"), "c", json!({})).await;
    let before = (psp.get(&path).await, psp.get("/v1/ledger").await);
    psp.stop().await;

    let psp = Psp::start(config(&ledger, None)).await;
    assert_eq!((psp.get(&path).await, psp.get("/v1/ledger").await), before);
    assert_eq!(psp.authorise("a", "order-1", 500).await, first);
    assert_eq!(psp.ledger_types().await.len(), 2);
}

#[tokio::test]
async fn a_line_torn_by_a_kill_is_cut_off_and_the_next_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.jsonl");
    let psp = Psp::start(config(&ledger, None)).await;
    psp.authorise("a", "order-1", 500).await;
    psp.stop().await;
    let mut file = std::fs::OpenOptions::new().append(true).open(&ledger).unwrap();
    file.write_all(b"{\"n\":2,\"at\":\"2026-").unwrap();

    let psp = Psp::start(config(&ledger, None)).await;
    assert_eq!(psp.ledger_types().await.len(), 1);
    assert_eq!(psp.authorise("b", "order-2", 500).await.0, 200);
    psp.stop().await;
    let psp = Psp::start(config(&ledger, None)).await;
    assert_eq!(psp.ledger_types().await.len(), 2);
}

#[tokio::test]
async fn a_corrupt_ledger_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger.jsonl");
    std::fs::write(&ledger, "not json\n").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = psp::serve(listener, config(&ledger, None), std::future::pending()).await.unwrap_err();
    assert!(refused.to_string().contains("line 1 of the ledger is corrupt"), "{refused}");
}

#[tokio::test]
async fn the_ledger_is_read_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let psp = Psp::start(config(&folder.path().join("ledger.jsonl"), None)).await;
    for number in 1..=5 {
        psp.authorise(&format!("k{number}"), &format!("order-{number}"), number).await;
    }
    let (_, page) = psp.get("/v1/ledger?after=1&limit=3").await;
    let references: Vec<_> = page["data"].as_array().unwrap().iter().map(|line| &line["intent"]["reference"]).collect();
    assert_eq!(references, ["order-2", "order-3", "order-4"]);
    assert_eq!(page["next_after"], json!(4));
    let (_, end) = psp.get("/v1/ledger?after=5").await;
    assert_eq!(end, json!({"data": [], "next_after": 5}));
    let (_, beyond) = psp.get("/v1/ledger?after=18446744073709551615").await;
    assert_eq!(beyond["data"], json!([]));
}

#[tokio::test]
async fn the_bound_on_memory_refuses_new_work_but_not_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder.path().join("ledger.jsonl"), None);
    config.ledger_lines_max = 1;
    let psp = Psp::start(config).await;
    let first = psp.authorise("a", "order-1", 500).await;
    let (status, refused) = psp.authorise("b", "order-2", 500).await;
    assert_eq!((status, &refused["error"]["code"]), (503, &json!("ledger_full")));
    assert_eq!(psp.authorise("a", "order-1", 500).await, first);
}
