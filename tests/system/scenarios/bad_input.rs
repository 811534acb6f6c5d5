//! Bad input gets a clear error: a table of requests, each with the status, the reason and the field that it must name.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use ids::Region;
use libtest_mimic::Trial;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Scenarios;
use crate::client::{Shopper, order_body};
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("bad_requests_are_refused_with_status_reason_and_field", table),
        scenarios.trial("another_sessions_cart_and_order_are_not_found", strangers),
        scenarios.trial("a_page_token_of_another_list_is_refused", page_tokens),
    ]
}

/// A request, and what must come back. An empty field means that none is named.
struct Case {
    what: &'static str,
    request: RequestBuilder,
    status: u16,
    code: &'static str,
    field: &'static str,
}

fn case(what: &'static str, request: RequestBuilder, status: u16, code: &'static str, field: &'static str) -> Case {
    Case { what, request, status, code, field }
}

async fn table(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 100, 100).await?;
    for region in Region::ALL {
        let shopper = deployment.shopper(region).await?;
        let (cart, version) = shopper.cart_with(&[(&offer, 1)]).await?;
        let mut failures = Vec::new();
        for case in cases(&shopper, &offer, &cart, &version) {
            let Case { what, request, status, code, field } = case;
            if let Err(error) = check(&shopper, request, status, code, field).await {
                failures.push(format!("{what}: {error:#}"));
            }
        }
        ensure!(failures.is_empty(), "in {region}:\n{}", failures.join("\n"));
    }
    Ok(())
}

async fn check(shopper: &Shopper, request: RequestBuilder, status: u16, code: &str, field: &str) -> Result<()> {
    let answer = shopper.send(request).await?;
    answer.expect_problem(status, code)?;
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    ensure!(!detail.is_empty(), "no detail: {}", answer.body);
    if !field.is_empty() {
        let errors = answer.body["errors"].as_array().context("no errors named")?;
        ensure!(errors.iter().any(|error| error["field"] == field), "{field} is not named: {errors:?}");
    }
    Ok(())
}

fn cases(shopper: &Shopper, offer: &str, cart: &str, version: &str) -> Vec<Case> {
    let post = |path: &str, body: Value| shopper.request(Method::POST, path).json(&body);
    let raw = |path: &str, body: &str| {
        let request = shopper.request(Method::POST, path).header("content-type", "application/json");
        request.body(body.to_owned())
    };
    let nobody = Uuid::now_v7().to_string();
    let lines = format!("/v1/carts/{cart}/lines");
    let line = |quantity: Value| json!({"offer_id": offer, "quantity": quantity});
    let order = |change: &dyn Fn(&mut Value)| {
        let mut body = order_body(cart, version, "tok_visa");
        change(&mut body);
        post("/v1/orders", body)
    };
    let to = format!("/v1/carts/{cart}/delivery-address");
    let deliver = |address: Value| shopper.request(Method::PUT, &to).json(&address);
    let unkeyed = shopper.bare_request(Method::POST, &lines).json(&line(json!(1)));
    let invalid = "INVALID_REQUEST";
    vec![
        case("no session", unkeyed, 401, "SESSION_MISSING", ""),
        case(
            "forged session",
            shopper.bare_request(Method::GET, "/v1/orders").bearer_auth("v1.AAAA.AAAA"),
            401,
            "SESSION_INVALID",
            "",
        ),
        case("unknown path", shopper.request(Method::GET, "/v1/nothing"), 404, "NO_SUCH_RESOURCE", ""),
        case("unknown cart", shopper.request(Method::GET, &format!("/v1/carts/{nobody}")), 404, "CART_NOT_FOUND", ""),
        case("malformed cart id", shopper.request(Method::GET, "/v1/carts/17"), 422, invalid, "cart_id"),
        case("unknown offer", post(&lines, json!({"offer_id": "no-such", "quantity": 1})), 404, "OFFER_NOT_FOUND", ""),
        case("unknown offer read", shopper.request(Method::GET, "/v1/offers/no-such"), 404, "OFFER_NOT_FOUND", ""),
        case("malformed offer id", post(&lines, json!({"offer_id": "a b", "quantity": 1})), 422, invalid, "offer_id"),
        case(
            "unknown order",
            shopper.request(Method::GET, &format!("/v1/orders/{nobody}")),
            404,
            "ORDER_NOT_FOUND",
            "",
        ),
        case("quantity 0", post(&lines, line(json!(0))), 422, invalid, "quantity"),
        case("negative quantity", post(&lines, line(json!(-1))), 422, invalid, "quantity"),
        case("quantity over 10,000", post(&lines, line(json!(10_001))), 422, invalid, "quantity"),
        case(
            "quantity 2^63",
            raw(&lines, &format!(r#"{{"offer_id":"{offer}","quantity":9223372036854775808}}"#)),
            422,
            invalid,
            "quantity",
        ),
        case("quantity as text", post(&lines, line(json!("one"))), 422, invalid, "quantity"),
        case("a field missing", post(&lines, json!({"offer_id": offer})), 422, invalid, "quantity"),
        case("malformed JSON", raw(&lines, r#"{"offer_id": "#), 400, "MALFORMED_JSON", ""),
        case("not JSON at all", raw(&lines, "\u{0}\u{1}"), 400, "MALFORMED_JSON", ""),
        case("oversized body", raw(&lines, &" ".repeat(257 * 1024)), 413, "BODY_TOO_LARGE", ""),
        case("empty cart version", order(&|body| body["cart_version"] = json!("")), 422, invalid, "cart_version"),
        case("rubbish cart version", order(&|body| body["cart_version"] = json!("???")), 422, invalid, "cart_version"),
        case("no country", order(&|body| body["delivery"]["country"] = json!("")), 422, invalid, "delivery.country"),
        case("no country to deliver to", deliver(json!({"country": ""})), 422, invalid, "country"),
        case(
            "two lines of street",
            deliver(json!({"street": "Lane 1\nback door", "country": "France"})),
            422,
            invalid,
            "street",
        ),
        case(
            "address of an unknown cart",
            shopper
                .request(Method::PUT, &format!("/v1/carts/{nobody}/delivery-address"))
                .json(&json!({"country": "Chad"})),
            404,
            "CART_NOT_FOUND",
            "",
        ),
        case("no card", order(&|body| body["card_token"] = json!("")), 422, invalid, "card_token"),
        case("order of an unknown cart", order(&|body| body["cart_id"] = json!(nobody)), 503, "CART_VERSION_AHEAD", ""),
        case(
            "page size 0 and below",
            shopper.request(Method::GET, "/v1/orders?page_size=-1"),
            422,
            invalid,
            "page_size",
        ),
        case(
            "rubbish page token",
            shopper.request(Method::GET, "/v1/orders?page_token=xyz"),
            422,
            invalid,
            "page_token",
        ),
    ]
}

async fn strangers(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 5, 0).await?;
    let owner = deployment.shopper(Region::East).await?;
    let (cart, version) = owner.cart_with(&[(&offer, 1)]).await?;
    let order = owner.placed_order(&[(&offer, 1)]).await?;
    let stranger = deployment.shopper(Region::East).await?;
    let line = json!({"offer_id": offer, "quantity": 1});
    stranger.get(&format!("/v1/carts/{cart}")).await?.expect_problem(404, "CART_NOT_FOUND")?;
    stranger.post(&format!("/v1/carts/{cart}/lines"), line).await?.expect_problem(404, "CART_NOT_FOUND")?;
    let to = stranger.request(Method::PUT, &format!("/v1/carts/{cart}/delivery-address"));
    stranger.send(to.json(&json!({"country": "France"}))).await?.expect_problem(404, "CART_NOT_FOUND")?;
    let ordered = stranger.post("/v1/orders", order_body(&cart, &version, "tok_visa")).await?;
    ordered.expect_problem(404, "CART_NOT_FOUND")?;
    stranger.get(&format!("/v1/orders/{order}")).await?.expect_problem(404, "ORDER_NOT_FOUND")?;
    let cancelled = stranger.post(&format!("/v1/orders/{order}/cancel"), json!({})).await?;
    cancelled.expect_problem(404, "ORDER_NOT_FOUND")?;
    let body = json!({"lines": [{"offer_id": offer, "quantity": 1}]});
    stranger.post(&format!("/v1/orders/{order}/returns"), body).await?.expect_problem(404, "ORDER_NOT_FOUND")?;
    // Their absence and their being somebody else's read the same, word for word but for the id.
    let theirs = stranger.get(&format!("/v1/orders/{order}")).await?;
    let nobodys = Uuid::now_v7().to_string();
    let nothing = stranger.get(&format!("/v1/orders/{nobodys}")).await?;
    let told = |answer: &Value, id: &str| answer["detail"].as_str().unwrap_or_default().replace(id, "");
    ensure!(told(&theirs.body, &order) == told(&nothing.body, &nobodys), "{theirs:?} {nothing:?}");
    Ok(())
}

async fn page_tokens(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 5, 0).await?;
    let owner = deployment.shopper(Region::East).await?;
    let mut placed = [owner.placed_order(&[(&offer, 1)]).await?, owner.placed_order(&[(&offer, 1)]).await?];
    placed.reverse();
    let first = owner.get("/v1/orders?page_size=1").await?.expect(200)?;
    let token = first["next_page_token"].as_str().context("no token")?.to_owned();
    let second = owner.get(&format!("/v1/orders?page_size=1&page_token={token}")).await?.expect(200)?;
    let listed = [&first, &second].map(|page| page["orders"][0]["order_id"].as_str().unwrap_or_default());
    ensure!(listed == [placed[0].as_str(), placed[1].as_str()], "not newest first: {listed:?}");
    let stranger = deployment.shopper(Region::East).await?;
    let refused = stranger.get(&format!("/v1/orders?page_token={token}")).await?;
    refused.expect_problem(422, "INVALID_REQUEST")?;
    match refused.body["errors"][0]["field"].as_str() {
        Some("page_token") => Ok(()),
        other => bail!("page_token is not named: {other:?}"),
    }
}
