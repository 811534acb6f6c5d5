//! A provider that misbehaves on command, one named fault per call, and remembers everything.
//!
//! It honours idempotency keys, as the real one does, and nothing else: it keeps no unique key on references, captures and
//! refunds what it is told to. Whatever is done twice here was asked for twice.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What befalls the next call that moves money.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// Done, but never answered.
    SilentAfterWork,
    /// Neither done nor answered.
    SilentBeforeWork,
    /// Never answered, and done only after this long: when the caller has given up and asked.
    LandsLate(Duration),
    /// Done, and answered with 500.
    ErrorAfterWork,
    /// Not done, and answered with 500.
    ErrorBeforeWork,
    /// Done and answered after this long.
    Slow(Duration),
    /// Refused, as if the request could never be carried out.
    Refuses,
    /// Captures only so much of it, and answers as if that were all.
    TakesOnly(i64),
}

#[derive(Default)]
pub(super) struct Books {
    pub intents: Vec<Value>,
    pub refunds: Vec<Value>,
    /// Idempotency keys of the calls that came, in order, repeats included.
    pub calls: Vec<String>,
    /// Questions that came.
    pub asks: usize,
    /// Test of the tests: a provider that carries every repeat out again.
    pub ignores_keys: bool,
    takes_only: Option<i64>,
    answers: HashMap<String, (StatusCode, Value)>,
    faults: VecDeque<Fault>,
}

#[derive(Clone, Default)]
pub(super) struct FakeProvider(Arc<Mutex<Books>>);

/// What a call does to the books.
enum Command {
    Authorise(Value),
    Capture(String),
    Cancel(String),
    Refund(Value),
}

impl FakeProvider {
    /// Serves it; returns its URL.
    pub async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/payment_intents", post(authorise).get(list_intents))
            .route("/v1/payment_intents/{id}", get(get_intent))
            .route("/v1/payment_intents/{id}/capture", post(capture))
            .route("/v1/payment_intents/{id}/cancel", post(cancel))
            .route("/v1/refunds", post(refund).get(list_refunds))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    /// The fates of the next calls that move money, in order; later ones fare well.
    pub fn plan(&self, faults: impl IntoIterator<Item = Fault>) {
        self.books().faults.extend(faults);
    }

    /// Authorisations per status.
    pub fn count(&self, status: &str) -> usize {
        self.books().intents.iter().filter(|intent| intent["status"] == status).count()
    }

    /// Paid back, all in all.
    pub fn refunded_minor(&self) -> i64 {
        self.books().refunds.iter().filter_map(|refund| refund["amount"].as_i64()).sum()
    }

    async fn call(&self, headers: &HeaderMap, command: Command) -> Response {
        let key = headers["idempotency-key"].to_str().unwrap().to_owned();
        let fault = {
            let mut books = self.books();
            books.calls.push(key.clone());
            books.faults.pop_front()
        };
        let error = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        match fault {
            None => self.books().execute(&key, command),
            Some(Fault::Slow(delay)) => {
                tokio::time::sleep(delay).await;
                self.books().execute(&key, command)
            }
            Some(Fault::TakesOnly(amount_minor)) => {
                let mut books = self.books();
                books.takes_only = Some(amount_minor);
                books.execute(&key, command)
            }
            Some(Fault::SilentAfterWork) => {
                self.books().execute(&key, command);
                std::future::pending().await
            }
            Some(Fault::SilentBeforeWork) => std::future::pending().await,
            Some(Fault::LandsLate(delay)) => {
                let books = self.clone();
                // A task of its own: the caller hangs up long before.
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    books.books().execute(&key, command);
                });
                std::future::pending().await
            }
            Some(Fault::ErrorAfterWork) => {
                self.books().execute(&key, command);
                error
            }
            Some(Fault::ErrorBeforeWork) => error,
            Some(Fault::Refuses) => {
                let body = json!({"error": {"code": "charge_disputed"}});
                (StatusCode::BAD_REQUEST, Json(body)).into_response()
            }
        }
    }
}

impl Books {
    /// Drops faults that no call came for.
    pub fn forget_plan(&mut self) {
        self.faults.clear();
    }

    fn execute(&mut self, key: &str, command: Command) -> Response {
        if let Some((status, body)) = self.answers.get(key).filter(|_| !self.ignores_keys) {
            return (*status, Json(body.clone())).into_response();
        }
        let (status, body) = self.apply(command);
        self.answers.insert(key.to_owned(), (status, body.clone()));
        (status, Json(body)).into_response()
    }

    fn apply(&mut self, command: Command) -> (StatusCode, Value) {
        match command {
            Command::Authorise(body) if body["payment_method"] != "tok_visa" => {
                let error = json!({"error": {"code": "card_declined", "decline_code": "insufficient_funds"}});
                (StatusCode::PAYMENT_REQUIRED, error)
            }
            Command::Authorise(body) => {
                let intent = json!({
                    "id": format!("pi_{}", uuid::Uuid::now_v7().simple()), "status": "requires_capture",
                    "amount": body["amount"], "amount_captured": 0, "amount_refunded": 0,
                    "currency": body["currency"], "reference": body["reference"],
                });
                self.intents.push(intent.clone());
                (StatusCode::OK, intent)
            }
            Command::Capture(id) => self.change(&id, "succeeded"),
            Command::Cancel(id) => self.change(&id, "canceled"),
            Command::Refund(body) => {
                let refund = json!({
                    "id": format!("re_{}", uuid::Uuid::now_v7().simple()), "status": "succeeded",
                    "amount": body["amount"], "reference": body["reference"], "payment_intent": body["payment_intent"],
                });
                self.refunds.push(refund.clone());
                (StatusCode::OK, refund)
            }
        }
    }

    fn change(&mut self, id: &str, status: &str) -> (StatusCode, Value) {
        let takes_only = self.takes_only.take();
        let intent = self.intents.iter_mut().find(|intent| intent["id"] == id).unwrap();
        if intent["status"] != "requires_capture" {
            return (StatusCode::BAD_REQUEST, json!({"error": {"code": "payment_intent_unexpected_state"}}));
        }
        intent["status"] = status.into();
        if status == "succeeded" {
            intent["amount_captured"] = takes_only.map_or_else(|| intent["amount"].clone(), Value::from);
        }
        (StatusCode::OK, intent.clone())
    }
}

type Provider = State<FakeProvider>;

async fn authorise(State(provider): Provider, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    provider.call(&headers, Command::Authorise(body)).await
}

async fn capture(State(provider): Provider, Path(id): Path<String>, headers: HeaderMap) -> Response {
    provider.call(&headers, Command::Capture(id)).await
}

async fn cancel(State(provider): Provider, Path(id): Path<String>, headers: HeaderMap) -> Response {
    provider.call(&headers, Command::Cancel(id)).await
}

async fn refund(State(provider): Provider, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    provider.call(&headers, Command::Refund(body)).await
}

async fn get_intent(State(provider): Provider, Path(id): Path<String>) -> Json<Value> {
    let mut books = provider.books();
    books.asks += 1;
    Json(books.intents.iter().find(|intent| intent["id"] == id.as_str()).cloned().unwrap())
}

fn referring(all: &[Value], query: &HashMap<String, String>) -> Json<Value> {
    let data: Vec<_> = all.iter().filter(|one| one["reference"] == query["reference"].as_str()).collect();
    Json(json!({"data": data}))
}

async fn list_intents(State(provider): Provider, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let mut books = provider.books();
    books.asks += 1;
    referring(&books.intents, &query)
}

async fn list_refunds(State(provider): Provider, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let mut books = provider.books();
    books.asks += 1;
    referring(&books.refunds, &query)
}
