//! The fake's REST interface.

use std::collections::BTreeMap;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{EVENTS_TAKE, Fake, KEY, Line, Order};

pub fn router(fake: Fake) -> Router {
    Router::new()
        .route("/v1/carts", post(change))
        .route("/v1/carts/{id}/lines", post(change))
        .route("/v1/orders", post(change).get(list_orders))
        .route("/v1/orders/{id}", get(get_order))
        .route("/v1/orders/{id}/returns", post(change))
        .with_state(fake)
}

/// Whose session it is, checked as the spec words it.
fn customer(headers: &HeaderMap) -> Uuid {
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    let key = bff::session::SessionKey::from_hex(&hex::encode(KEY)).unwrap();
    bff::session::verify(&key, token, chrono::Utc::now()).unwrap().customer.as_uuid()
}

fn problem(status: u16, code: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), axum::Json(json!({"code": code}))).into_response()
}

/// Every change: the stored outcome for a known key, else the work; now and then a hiccup after it.
async fn change(State(fake): State<Fake>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let (customer, path) = (customer(&headers), uri.path().to_owned());
    let key: ids::IdempotencyKey = headers["idempotency-key"].to_str().unwrap().parse().unwrap();
    let request: Value = serde_json::from_slice(&body).unwrap();
    if path == "/v1/orders" && !fake.vices.checkout_takes.is_zero() {
        tokio::time::sleep(fake.vices.checkout_takes).await;
    }
    let name = (customer, path.clone(), key.to_string());
    let known = fake.state().outcomes.get(&name).cloned();
    let (status, answer) = match known {
        Some((first, status, answer)) if first == request => (status, answer),
        Some(_) => return problem(409, "IDEMPOTENCY_KEY_REUSED"),
        None => {
            let (status, answer) = work(&fake, customer, &path, &request);
            fake.state().changes += 1;
            fake.state().outcomes.insert(name, (request, status, answer.clone()));
            (status, answer)
        }
    };
    let mut state = fake.state();
    state.calls += 1;
    if fake.vices.hiccup_every.is_some_and(|every| state.calls.is_multiple_of(every)) {
        return problem(if state.calls.is_multiple_of(2) { 503 } else { 429 }, "OVERLOADED");
    }
    (StatusCode::from_u16(status).unwrap(), axum::Json(answer)).into_response()
}

fn work(fake: &Fake, customer: Uuid, path: &str, request: &Value) -> (u16, Value) {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    match parts.as_slice() {
        ["carts"] => {
            let id = Uuid::now_v7();
            fake.state().carts.insert(id, (customer, BTreeMap::new()));
            (201, json!({"cart_id": id, "version": "0", "lines": []}))
        }
        ["carts", id, "lines"] => {
            let (offer_id, quantity) = (request["offer_id"].as_str().unwrap(), request["quantity"].as_i64().unwrap());
            let mut state = fake.state();
            assert!((1..=10_000).contains(&quantity) && state.offers.contains_key(offer_id));
            let (owner, lines) = state.carts.get_mut(&id.parse().unwrap()).unwrap();
            assert_eq!(*owner, customer);
            *lines.entry(offer_id.to_owned()).or_default() += quantity;
            (200, json!({"line": {"offer_id": offer_id}, "version": lines.values().sum::<i64>().to_string()}))
        }
        ["orders"] => place(fake, customer, request),
        ["orders", id, "returns"] => give_back(fake, id.parse().unwrap(), request),
        _ => (404, json!({"code": "NOT_FOUND"})),
    }
}

fn place(fake: &Fake, customer: Uuid, request: &Value) -> (u16, Value) {
    let mut state = fake.state();
    let (owner, lines) = state.carts.get(&request["cart_id"].as_str().unwrap().parse().unwrap()).cloned().unwrap();
    assert_eq!(owner, customer);
    assert_eq!(request["card_token"], "tok_visa");
    if request["cart_version"] != json!(lines.values().sum::<i64>().to_string()) {
        return (409, json!({"code": "CART_VERSION_STALE"}));
    }
    let short: Vec<_> = lines
        .iter()
        .filter(|(offer, wanted)| state.stock.get(*offer).is_none_or(|held| held[0] + held[1] < **wanted))
        .map(|(offer, _)| json!({"offer_id": offer, "description": "0 left"}))
        .collect();
    if !short.is_empty() && !fake.vices.oversells {
        return (409, json!({"code": "OUT_OF_STOCK", "lines": short}));
    }
    let mut total = i64::from(fake.vices.overcharges);
    for (offer, units) in &lines {
        total += state.offers[offer].unit_price.as_ref().unwrap().minor_units * units;
        let held = state.stock.entry(offer.clone()).or_default();
        let here = held[fake.region].min(*units);
        held[fake.region] -= here;
        held[1 - fake.region] -= units - here;
        held[2] += units;
    }
    let lines = lines.into_iter().map(|(offer_id, quantity)| Line { offer_id, quantity, returned: 0 }).collect();
    let country = request["delivery"]["country"].as_str().unwrap().to_owned();
    let id = Uuid::now_v7();
    let order = Order { id, customer, lines, total, country, placed_at: Instant::now(), refunds: Vec::new() };
    let answer = view(&state.offers, &order);
    state.orders.push(order);
    (201, answer)
}

fn give_back(fake: &Fake, id: Uuid, request: &Value) -> (u16, Value) {
    let mut state = fake.state();
    let offers = state.offers.clone();
    let order = state.orders.iter_mut().find(|order| order.id == id).unwrap();
    if order.placed_at.elapsed() < EVENTS_TAKE {
        return (409, json!({"code": "ORDER_NOT_SHIPPED"}));
    }
    let mut refund = 0;
    for wanted in request["lines"].as_array().unwrap() {
        let line = order.lines.iter_mut().find(|line| line.offer_id == wanted["offer_id"].as_str().unwrap()).unwrap();
        line.returned += wanted["quantity"].as_i64().unwrap();
        assert!(line.returned <= line.quantity);
        let price = offers[&line.offer_id].unit_price.as_ref().unwrap().minor_units;
        refund += price * wanted["quantity"].as_i64().unwrap();
    }
    order.refunds.push((Instant::now(), refund));
    (202, json!({"return_id": Uuid::now_v7(), "refund": {"minor_units": refund, "currency": "GBP"}, "refunded": false}))
}

fn view(offers: &BTreeMap<String, contracts::catalog::v1::Offer>, order: &Order) -> Value {
    let lines: Vec<Value> = order
        .lines
        .iter()
        .map(|line| {
            let price = offers[&line.offer_id].unit_price.as_ref().unwrap().minor_units;
            json!({
                "offer_id": line.offer_id, "quantity": line.quantity, "returned_quantity": line.returned,
                "unit_price": {"minor_units": price, "currency": "GBP"},
            })
        })
        .collect();
    let done = order.placed_at.elapsed() >= EVENTS_TAKE;
    let refunded: i64 =
        order.refunds.iter().filter(|(at, _)| at.elapsed() >= EVENTS_TAKE).map(|(_, pence)| pence).sum();
    json!({
        "order_id": order.id, "state": if done { "shipped" } else { "placed" }, "captured": done, "lines": lines,
        "total": {"minor_units": order.total, "currency": "GBP"}, "refunded_minor": refunded,
        "rejection_reason": null, "delivery": {"country": order.country},
    })
}

async fn get_order(State(fake): State<Fake>, headers: HeaderMap, Path(id): Path<Uuid>) -> Response {
    let customer = customer(&headers);
    let state = fake.state();
    match state.orders.iter().find(|order| order.id == id && order.customer == customer) {
        Some(order) => axum::Json(view(&state.offers, order)).into_response(),
        None => problem(404, "ORDER_NOT_FOUND"),
    }
}

/// Two orders a page, so that small tests turn pages too.
async fn list_orders(
    State(fake): State<Fake>,
    headers: HeaderMap,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    let customer = customer(&headers);
    let state = fake.state();
    let skip: usize = query["page_token"].trim_start_matches("from=").parse().unwrap_or_default();
    let own: Vec<_> = state.orders.iter().rev().filter(|order| order.customer == customer).collect();
    let page: Vec<Value> = own.iter().skip(skip).take(2).map(|order| view(&state.offers, order)).collect();
    // A token that a query cannot hold as it is.
    let next = if own.len() > skip + 2 { format!("from={}", skip + 2) } else { String::new() };
    axum::Json(json!({"orders": page, "next_page_token": next})).into_response()
}
