//! The REST interface, call by call. Nothing is tried again here; see [`super::Retries`].

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request};
use ids::{CartId, OrderId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::CallError;
use super::deployment::Endpoint;
use super::http::{Answer, Pool, TransportError};
use super::session::Session;
use super::view::{Cart, Changed, Order, OrderStatus, Orders, Problem, Returned};

/// How long one call may take: above the deadline the BFF itself gives its calls, so that its answer is heard.
const DEADLINE: Duration = Duration::from_secs(30);
/// Orders of one page: the largest orders have hundreds of lines, and a page must stay below gRPC's 4 MiB.
const ORDERS_PER_PAGE: u32 = 10;

/// A line to order or return.
#[derive(Clone, Debug, Serialize)]
pub struct LineRequest<'a> {
    /// The offer.
    pub offer_id: &'a str,
    /// Units.
    pub quantity: i64,
}

/// What is asked of a checkout.
#[derive(Clone, Debug, Serialize)]
pub struct OrderRequest<'a> {
    /// The cart.
    pub cart_id: CartId,
    /// Its version as last seen.
    pub cart_version: &'a str,
    /// The provider's test token.
    pub card_token: &'a str,
    /// Where it goes.
    pub delivery: DeliveryRequest<'a>,
}

/// Where it goes: the country alone is needed.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryRequest<'a> {
    /// Country.
    pub country: &'a str,
}

#[derive(Serialize)]
struct ReturnRequest<'a> {
    lines: &'a [LineRequest<'a>],
}

#[derive(Serialize)]
struct QuantityRequest {
    quantity: i64,
}

#[derive(Serialize)]
struct Nothing {}

/// The BFF of one region.
#[derive(Debug)]
pub struct Api {
    pool: Pool,
}

impl Api {
    /// A client of the region's BFF with at most `connections_max` connections.
    pub fn new(endpoint: &Endpoint, connections_max: usize) -> Self {
        Self { pool: Pool::new(endpoint.bff, connections_max) }
    }

    /// Makes an empty cart.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn create_cart(&self, session: &Session, key: &str) -> Result<Cart, CallError> {
        self.post("/v1/carts", session, key, &Nothing {}).await
    }

    /// Adds units of an offer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn add_line(
        &self,
        session: &Session,
        cart: CartId,
        key: &str,
        line: &LineRequest<'_>,
    ) -> Result<Changed, CallError> {
        self.post(&format!("/v1/carts/{cart}/lines"), session, key, line).await
    }

    /// Replaces the quantity of a line.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn set_line(
        &self,
        session: &Session,
        cart: CartId,
        key: &str,
        offer_id: &str,
        quantity: i64,
    ) -> Result<Changed, CallError> {
        let path = format!("/v1/carts/{cart}/lines/{offer_id}");
        self.change(Method::PUT, &path, session, key, &QuantityRequest { quantity }).await
    }

    /// Removes a line; one that is not there is fine.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn remove_line(
        &self,
        session: &Session,
        cart: CartId,
        key: &str,
        offer_id: &str,
    ) -> Result<Changed, CallError> {
        let path = format!("/v1/carts/{cart}/lines/{offer_id}");
        self.change(Method::DELETE, &path, session, key, &Nothing {}).await
    }

    /// A cart as it is answered: all of it, for whoever compares two answers.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn cart(&self, session: &Session, cart: CartId) -> Result<serde_json::Value, CallError> {
        self.get(&format!("/v1/carts/{cart}"), session).await
    }

    /// Orders a cart. The order may still be pending.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn place_order(
        &self,
        session: &Session,
        key: &str,
        order: &OrderRequest<'_>,
    ) -> Result<OrderStatus, CallError> {
        self.post("/v1/orders", session, key, order).await
    }

    /// Where an order stands.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn order_status(&self, session: &Session, order: OrderId) -> Result<OrderStatus, CallError> {
        self.get(&format!("/v1/orders/{order}"), session).await
    }

    /// An order with its lines.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn order(&self, session: &Session, order: OrderId) -> Result<Order, CallError> {
        self.get(&format!("/v1/orders/{order}"), session).await
    }

    /// A page of the customer's orders, newest first; `page_token` is empty for the first.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn orders(&self, session: &Session, page_token: &str) -> Result<Orders, CallError> {
        let path = format!("/v1/orders?page_size={ORDERS_PER_PAGE}&page_token={}", in_query(page_token));
        self.get(&path, session).await
    }

    /// Returns units of a shipped order.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn return_lines(
        &self,
        session: &Session,
        order: OrderId,
        key: &str,
        lines: &[LineRequest<'_>],
    ) -> Result<Returned, CallError> {
        self.post(&format!("/v1/orders/{order}/returns"), session, key, &ReturnRequest { lines }).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, session: &Session) -> Result<T, CallError> {
        let request = Request::get(path).header(AUTHORIZATION, session.authorization.clone()).body(Full::default());
        self.send(path, request).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        session: &Session,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        self.change(Method::POST, path, session, key, body).await
    }

    async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        session: &Session,
        key: &str,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let unwritable = |source| CallError::Unreadable { path: path.to_owned(), source };
        let body = Bytes::from(serde_json::to_vec(body).map_err(unwritable)?);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(AUTHORIZATION, session.authorization.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("idempotency-key", key)
            .body(Full::new(body));
        self.send(path, request).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        path: &str,
        request: hyper::http::Result<Request<Full<Bytes>>>,
    ) -> Result<T, CallError> {
        let request = request.map_err(|error| TransportError::Body(error.to_string()))?;
        let answer = self.pool.call(request, DEADLINE).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        serde_json::from_slice(&answer.body).map_err(|source| CallError::Unreadable { path: path.to_owned(), source })
    }
}

/// Percent-encodes what a query cannot hold as it is (RFC 3986, section 2.3): a page token is opaque.
fn in_query(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn refusal(answer: &Answer) -> CallError {
    // An error without a readable body is still an error, told by its status.
    let problem = serde_json::from_slice(&answer.body).unwrap_or_else(|_| Problem::default());
    let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    CallError::Refused { status: answer.status, problem, retry_after: retry_after.map(Duration::from_secs) }
}
