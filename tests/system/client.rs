//! A shopper at one region's front door, as raw as a test needs: any method, path, headers and body, and the whole answer.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub content_type: String,
    pub body: Value,
}

impl Answer {
    /// The machine-readable reason of a problem.
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The body, if the status is `expected`.
    pub fn expect(self, expected: u16) -> Result<Value> {
        ensure!(self.status.as_u16() == expected, "expected {expected}: {} {}", self.status, self.body);
        Ok(self.body)
    }

    /// Checks that this is a problem with this status and reason.
    pub fn expect_problem(&self, status: u16, code: &str) -> Result<()> {
        let Self { status: actual, content_type, body } = self;
        ensure!(actual.as_u16() == status && self.code() == code, "expected {status} {code}: {actual} {body}");
        ensure!(content_type == "application/problem+json", "content type {content_type}");
        ensure!(body["trace_id"].as_str().is_some_and(|id| id.len() == 32), "no trace id in {body}");
        Ok(())
    }
}

/// A client with a session of its own.
#[derive(Clone)]
pub struct Shopper {
    http: reqwest::Client,
    base: String,
    token: String,
}

/// What to put into a cart: offer and units.
pub type Line<'a> = (&'a str, i64);

impl Shopper {
    /// Starts a session at `base`, such as `http://127.101.0.15:8080`.
    pub async fn at(base: &str) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(40)).build()?;
        let mut shopper = Self { http, base: base.to_owned(), token: String::new() };
        let session = shopper.post("/v1/sessions", json!({})).await?.expect(201)?;
        shopper.token = session["token"].as_str().context("no token")?.to_owned();
        Ok(shopper)
    }

    /// The same session at another base.
    pub fn moved_to(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// A request with session and a fresh idempotency key, for tests that change some of it.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.bearer_auth(&self.token).header("idempotency-key", Uuid::now_v7().to_string())
    }

    /// A request with nothing added to it.
    pub fn bare_request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let response = request.send().await?;
        let status = response.status();
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, content_type, body })
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn post_with_key(&self, path: &str, key: &str, body: &Value) -> Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.token);
        self.send(request.header("idempotency-key", key).json(body)).await
    }

    /// A new cart with these lines. Returns its id and version.
    pub async fn cart_with(&self, lines: &[Line<'_>]) -> Result<(String, String)> {
        let cart = self.post("/v1/carts", json!({})).await?.expect(201)?;
        let cart_id = cart["cart_id"].as_str().context("no cart id")?.to_owned();
        let mut version = cart["version"].as_str().context("no version")?.to_owned();
        for (offer_id, quantity) in lines {
            let line = json!({"offer_id": offer_id, "quantity": quantity});
            let added = self.post(&format!("/v1/carts/{cart_id}/lines"), line).await?.expect(200)?;
            version = added["version"].as_str().context("no version")?.to_owned();
        }
        Ok((cart_id, version))
    }

    /// Orders these lines with a card that works, or with another.
    pub async fn order(&self, lines: &[Line<'_>], card_token: &str) -> Result<Answer> {
        let (cart_id, version) = self.cart_with(lines).await?;
        self.post("/v1/orders", order_body(&cart_id, &version, card_token)).await
    }

    /// Orders these lines, and waits until the order is placed.
    pub async fn placed_order(&self, lines: &[Line<'_>]) -> Result<String> {
        let order = self.order(lines, "tok_visa").await?.expect(201)?;
        Ok(order["order_id"].as_str().context("no order id")?.to_owned())
    }

    /// Reads the order until `done` says yes of it. Bounded: a minute.
    pub async fn order_until(&self, order_id: &str, what: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = Value::Null;
        for _ in 0..300 {
            let answer = self.get(&format!("/v1/orders/{order_id}")).await?;
            if answer.status.is_success() && done(&answer.body) {
                return Ok(answer.body);
            }
            last = answer.body;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("order {order_id} is not {what} after a minute: {last}")
    }

    /// Waits until the money of an order came in.
    pub async fn captured(&self, order_id: &str) -> Result<Value> {
        self.order_until(order_id, "captured", |order| order["captured"] == true).await
    }
}

/// The body that orders a cart.
pub fn order_body(cart_id: &str, version: &str, card_token: &str) -> Value {
    json!({
        "cart_id": cart_id,
        "cart_version": version,
        "card_token": card_token,
        "delivery": {"country": "United Kingdom"},
    })
}
