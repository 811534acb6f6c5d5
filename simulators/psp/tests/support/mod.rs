//! A provider in-process on port 0, a client of it, and a receiver of its webhooks.
#![allow(dead_code, missing_docs, reason = "shared by several test binaries, none of which uses all of it")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use psp::{Account, Config, WebhookTarget};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const SECRET: &str = "whsec_test";

pub struct Psp {
    base: String,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), psp::ServeError>>,
}

pub fn config(ledger_file: &Path, webhook_url: Option<&str>) -> Config {
    let webhook = webhook_url.map(|url| WebhookTarget { url: url.to_owned(), secret: SECRET.to_owned() });
    let account = |name: &str, webhook| Account { name: name.to_owned(), api_key: format!("sk_{name}"), webhook };
    Config {
        ledger_file: ledger_file.to_owned(),
        accounts: vec![account("east", webhook), account("west", None)],
        ledger_lines_max: 100,
        fault_seed: 1,
    }
}

impl Psp {
    pub async fn start(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(psp::serve(listener, config, async {
            let _ = stopped.await;
        }));
        Self { base, client: reqwest::Client::new(), stop: Some(stop), server }
    }

    pub async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.server.await.unwrap().unwrap();
    }

    /// A request of account east.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as("sk_east", method, path)
    }

    pub fn request_as(&self, api_key: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(api_key)
    }

    pub async fn post(&self, path: &str, key: &str, body: Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).header("idempotency-key", key).json(&body)).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn set_faults(&self, faults: Value) -> u16 {
        answer(self.request(Method::PUT, "/faults").json(&faults)).await.0
    }

    pub async fn authorise(&self, key: &str, reference: &str, amount: i64) -> (u16, Value) {
        self.post("/v1/payment_intents", key, intent_body(reference, amount, "tok_visa")).await
    }

    /// The types of the ledger's lines.
    pub async fn ledger_types(&self) -> Vec<String> {
        let (_, ledger) = self.get("/v1/ledger").await;
        ledger["data"].as_array().unwrap().iter().map(|line| line["type"].as_str().unwrap().to_owned()).collect()
    }
}

pub fn intent_body(reference: &str, amount: i64, token: &str) -> Value {
    json!({"amount": amount, "currency": "GBP", "payment_method": token, "reference": reference})
}

pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// A delivery as the receiver saw it: signature header and body.
pub type Delivery = (String, Vec<u8>);

/// Receives webhooks; answers 503 to the first `failures` of them.
pub struct Receiver {
    pub url: String,
    pub deliveries: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    pub async fn start(failures: usize) -> Self {
        let deliveries = Arc::new(Mutex::new(Vec::new()));
        let seen: Arc<Mutex<Vec<Delivery>>> = Arc::clone(&deliveries);
        let receive = move |headers: HeaderMap, body: Bytes| async move {
            let mut seen = seen.lock().unwrap();
            seen.push((headers["psp-signature"].to_str().unwrap().to_owned(), body.to_vec()));
            if seen.len() > failures { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks", listener.local_addr().unwrap());
        let router = axum::Router::new().route("/webhooks", axum::routing::post(receive));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, deliveries }
    }

    /// Waits for at least `count` deliveries.
    pub async fn wait_for(&self, count: usize) -> Vec<Delivery> {
        for _ in 0..500 {
            let seen = self.deliveries.lock().unwrap().clone();
            if seen.len() >= count {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {} of {count} webhooks came", self.deliveries.lock().unwrap().len());
    }
}
