//! Orders that go well, and those that are refused for good reasons.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use ids::Region;
use libtest_mimic::Trial;
use serde_json::json;
use uuid::Uuid;

use crate::Scenarios;
use crate::client::order_body;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("an_order_is_placed_shipped_and_captured_in_each_region", placed_shipped_captured),
        scenarios.trial("an_order_takes_the_cart_version_that_was_seen_and_no_more", causal_cut),
        scenarios.trial("a_repeated_order_request_gives_the_same_order", repeated_request),
        scenarios.trial("a_declined_card_gives_stock_and_cart_back", declined_card),
        scenarios.trial("an_order_short_of_stock_names_the_lines_and_what_is_left", out_of_stock),
        scenarios.trial("a_region_short_of_stock_sells_what_the_other_holds", borrowed_stock),
        scenarios.trial("both_regions_selling_the_last_units_at_once_sell_each_unit_once", last_units),
        scenarios.trial("a_cancelled_order_gives_stock_back_and_is_never_charged", cancelled),
        scenarios.trial("returns_in_parts_refund_what_was_paid_and_no_more", returned),
        scenarios.trial("each_unit_costs_what_was_shown_when_it_was_added", price_snapshot),
    ]
}

async fn placed_shipped_captured(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(1_250, 10, 10).await?;
    for region in Region::ALL {
        let shopper = deployment.shopper(region).await?;
        let (cart_id, version) = shopper.cart_with(&[(&offer, 2)]).await?;
        let mut body = order_body(&cart_id, &version, "tok_visa");
        body["total"] = json!({"minor_units": 2_499, "currency": "GBP"});
        shopper.post("/v1/orders", body.clone()).await?.expect_problem(409, "CART_TOTAL_CHANGED")?;
        // As the cart shows it.
        body["total"] = shopper.get(&format!("/v1/carts/{cart_id}")).await?.expect(200)?["total"].clone();
        let order = shopper.post("/v1/orders", body).await?.expect(201)?;
        ensure!(order["state"] == "placed", "{order}");
        ensure!(order["total"]["minor_units"] == 2_500, "{order}");
        ensure!(order["home_region"] == region.name(), "{order}");
        let order_id = order["order_id"].as_str().context("no order id")?;
        let captured = shopper.captured(order_id).await?;
        ensure!(captured["state"] == "shipped", "{captured}");
        let level = deployment.stock_until(region, &offer, |level| level.sold == 2).await?;
        ensure!((level.available, level.reserved) == (8, 0), "{level:?}");
        let cart = shopper.get(&format!("/v1/carts/{cart_id}")).await?.expect(200)?;
        ensure!(cart["lines"] == json!([]), "what was ordered is still in the cart: {cart}");
        let listed = shopper.get("/v1/orders").await?.expect(200)?;
        ensure!(listed["orders"][0]["order_id"] == order_id, "{listed}");
    }
    Ok(())
}

async fn causal_cut(deployment: Arc<Deployment>) -> Result<()> {
    let (first, late) = (deployment.offer(100, 5, 0).await?, deployment.offer(900, 5, 0).await?);
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, seen) = shopper.cart_with(&[(&first, 1)]).await?;
    let line = json!({"offer_id": late, "quantity": 1});
    shopper.post(&format!("/v1/carts/{cart_id}/lines"), line.clone()).await?.expect(200)?;
    let stale = shopper.post("/v1/orders", order_body(&cart_id, &seen, "tok_visa")).await?;
    stale.expect_problem(409, "CART_VERSION_STALE")?;

    let cart = shopper.get(&format!("/v1/carts/{cart_id}")).await?.expect(200)?;
    let version = cart["version"].as_str().context("no version")?;
    let body = order_body(&cart_id, version, "tok_visa");
    // Added while the order is on its way: it stays.
    let lines = format!("/v1/carts/{cart_id}/lines");
    let (ordered, added) = tokio::join!(shopper.post("/v1/orders", body), shopper.post(&lines, line));
    added?.expect(200)?;
    let ordered = ordered?;
    if ordered.status.as_u16() == 409 {
        // The add came first: then the order saw a cart that had moved on, and nothing was ordered.
        return ordered.expect_problem(409, "CART_VERSION_STALE");
    }
    let order = ordered.expect(201)?;
    ensure!(order["total"]["minor_units"] == 1_000, "{order}");
    let cart = shopper.get(&format!("/v1/carts/{cart_id}")).await?.expect(200)?;
    ensure!(cart["lines"][0]["offer_id"] == late && cart["lines"][0]["quantity"] == 1, "{cart}");
    Ok(())
}

async fn repeated_request(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(700, 9, 9).await?;
    let shopper = deployment.shopper(Region::West).await?;
    let (cart_id, version) = shopper.cart_with(&[(&offer, 3)]).await?;
    let (key, body) = (Uuid::now_v7().to_string(), order_body(&cart_id, &version, "tok_visa"));
    let at_once = (0..4).map(|_| shopper.post_with_key("/v1/orders", &key, &body));
    let answers = try_join_all(at_once).await?;
    let later = shopper.post_with_key("/v1/orders", &key, &body).await?.expect(201)?;
    for answer in answers {
        // One that met the others half-way may answer with the order still pending; it is the same order.
        ensure!(answer.status.is_success(), "{} {}", answer.status, answer.body);
        ensure!(answer.body["order_id"] == later["order_id"], "two orders under one key");
    }
    let level = deployment.stock_until(Region::West, &offer, |level| level.sold == 3).await?;
    ensure!(level.available == 6, "{level:?}");
    let other = order_body(&cart_id, &version, "tok_mastercard");
    shopper.post_with_key("/v1/orders", &key, &other).await?.expect_problem(409, "IDEMPOTENCY_KEY_REUSED")
}

async fn declined_card(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(5_000, 4, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, version) = shopper.cart_with(&[(&offer, 4)]).await?;
    let declined = shopper.post("/v1/orders", order_body(&cart_id, &version, "tok_chargeDeclined")).await?;
    declined.expect_problem(402, "CARD_DECLINED")?;
    let level = deployment.stock_until(Region::East, &offer, |level| level.available == 4).await?;
    ensure!((level.reserved, level.sold) == (0, 0), "{level:?}");
    let cart = shopper.get(&format!("/v1/carts/{cart_id}")).await?.expect(200)?;
    ensure!(cart["lines"][0]["quantity"] == 4, "the lines are not back: {cart}");
    // Another card takes the same cart.
    let version = cart["version"].as_str().context("no version")?;
    shopper.post("/v1/orders", order_body(&cart_id, version, "tok_visa")).await?.expect(201)?;
    Ok(())
}

async fn out_of_stock(deployment: Arc<Deployment>) -> Result<()> {
    let (scarce, plenty) = (deployment.offer(300, 2, 1).await?, deployment.offer(300, 50, 0).await?);
    let shopper = deployment.shopper(Region::East).await?;
    let refused = shopper.order(&[(&scarce, 5), (&plenty, 1)], "tok_visa").await?;
    refused.expect_problem(409, "OUT_OF_STOCK")?;
    let lines = refused.body["lines"].as_array().context("no lines")?;
    ensure!(lines.len() == 1 && lines[0]["offer_id"] == scarce.as_str(), "{lines:?}");
    ensure!(lines[0]["description"].as_str().is_some_and(|text| text.contains("3 left")), "{lines:?}");
    let level = deployment.stock_until(Region::East, &plenty, |level| level.available == 50).await?;
    ensure!(level.reserved == 0, "all or nothing: {level:?}");
    Ok(())
}

async fn borrowed_stock(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(450, 2, 6).await?;
    let shopper = deployment.shopper(Region::East).await?;
    shopper.placed_order(&[(&offer, 7)]).await?;
    let east = deployment.stock_until(Region::East, &offer, |level| level.sold == 7).await?;
    let west = deployment.stock(Region::West, &offer).await?;
    ensure!(east.available + west.available == 1, "{east:?} {west:?}");
    Ok(())
}

async fn last_units(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 5, 5).await?;
    let mut shoppers = Vec::new();
    for at in 0..12 {
        let shopper = deployment.shopper(Region::ALL[at % 2]).await?;
        let (cart_id, version) = shopper.cart_with(&[(&offer, 1)]).await?;
        shoppers.push((shopper, order_body(&cart_id, &version, "tok_visa")));
    }
    let orders = shoppers.iter().map(|(shopper, body)| shopper.post("/v1/orders", body.clone()));
    let answers = try_join_all(orders).await?;
    let placed = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    for refused in answers.iter().filter(|answer| answer.status.as_u16() != 201) {
        refused.expect_problem(409, "OUT_OF_STOCK")?;
    }
    ensure!(placed == 10, "{placed} of 12 orders for 10 units were placed");
    let mut sold = 0;
    for region in Region::ALL {
        let level = deployment.stock_until(region, &offer, |level| level.reserved == 0).await?;
        ensure!(level.available == 0, "{region}: {level:?}");
        sold += level.sold;
    }
    ensure!(sold == 10, "{sold} units sold of 10");
    Ok(())
}

async fn cancelled(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(800, 3, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let order_id = shopper.placed_order(&[(&offer, 3)]).await?;
    let path = format!("/v1/orders/{order_id}/cancel");
    let order = shopper.post(&path, json!({})).await?.expect(200)?;
    ensure!(order["state"] == "cancelled", "{order}");
    shopper.post(&path, json!({})).await?.expect(200)?;
    deployment.stock_until(Region::East, &offer, |level| level.available == 3 && level.sold == 0).await?;
    let shipped = shopper.placed_order(&[(&offer, 1)]).await?;
    shopper.order_until(&shipped, "shipped", |order| order["state"] == "shipped").await?;
    let late = shopper.post(&format!("/v1/orders/{shipped}/cancel"), json!({})).await?;
    late.expect_problem(409, "ORDER_ALREADY_SHIPPED")
}

async fn returned(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(333, 10, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let order_id = shopper.placed_order(&[(&offer, 5)]).await?;
    let path = format!("/v1/orders/{order_id}/returns");
    let units = |quantity: i64| json!({"lines": [{"offer_id": offer, "quantity": quantity}]});
    shopper.post(&path, units(1)).await?.expect_problem(409, "ORDER_NOT_SHIPPED")?;
    shopper.captured(&order_id).await?;

    // Six returns of one unit at the same time, of five that were ordered.
    let bodies: Vec<_> = (0..6).map(|_| units(1)).collect();
    let answers = try_join_all(bodies.into_iter().map(|body| shopper.post(&path, body))).await?;
    let accepted = answers.iter().filter(|answer| answer.status.is_success()).count();
    ensure!(accepted == 5, "{accepted} of 6 returns of 5 units were accepted");
    for refused in answers.iter().filter(|answer| !answer.status.is_success()) {
        refused.expect_problem(409, "RETURN_EXCEEDS_ORDER")?;
    }
    let order = shopper.order_until(&order_id, "refunded", |order| order["refunded_minor"] == 5 * 333).await?;
    ensure!(order["lines"][0]["returned_quantity"] == 5, "{order}");
    Ok(())
}

async fn price_snapshot(deployment: Arc<Deployment>) -> Result<()> {
    use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
    use contracts::catalog::v1::{GetOfferRequest, UpsertOffersRequest};

    let offer_id = deployment.offer(1_000, 5, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, _) = shopper.cart_with(&[(&offer_id, 2)]).await?;
    let mut catalog = CatalogServiceClient::connect(deployment.grpc(Region::East, 12)).await?;
    let mut offer = catalog
        .get_offer(GetOfferRequest { offer_id: offer_id.clone() })
        .await?
        .into_inner()
        .offer
        .context("no offer")?;
    offer.unit_price.as_mut().context("no price")?.minor_units = 9_999;
    catalog.upsert_offers(UpsertOffersRequest { offers: vec![offer], ..Default::default() }).await?;
    let line = json!({"offer_id": offer_id, "quantity": 1});
    let added = shopper.post(&format!("/v1/carts/{cart_id}/lines"), line).await?.expect(200)?;
    let version = added["version"].as_str().context("no version")?;
    let order = shopper.post("/v1/orders", order_body(&cart_id, version, "tok_visa")).await?.expect(201)?;
    ensure!(order["total"]["minor_units"] == 2_000 + 9_999, "charged another price than was shown: {order}");
    ensure!(order["lines"][0]["prices"][1]["quantity"] == 2, "the units by price are missing: {order}");
    Ok(())
}
