//! One request is one order, wherever it is repeated; one version of a cart is ordered once, wherever it is ordered.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ids::Region;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use uuid::Uuid;

use super::explain::explained_until;
use super::outages::charges;
use super::wan::during;
use crate::Scenarios;
use crate::client::{Answer, Shopper, order_body};
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("a_request_repeated_in_the_other_region_is_the_same_order", repeated),
        scenarios.trial("a_refusal_stays_one_in_the_other_region", refused),
        scenarios.trial("a_cart_ordered_in_both_regions_at_once_is_ordered_once", at_once),
        scenarios.trial("an_order_whose_home_is_cut_off_is_not_touched_by_the_other_region", cut_off),
        scenarios.trial("a_request_placed_in_both_regions_during_a_cut_is_one_order_after_it", healed),
    ]
}

/// A shopper whose home is the east, at both front doors.
async fn at_both(deployment: &Deployment) -> Result<(Shopper, Shopper)> {
    let east = deployment.shopper(Region::East).await?;
    let west = east.moved_to(&deployment.front_door(Region::West));
    Ok((east, west))
}

/// A request to order one unit of an offer, of a shopper whose home is the east.
struct Asked {
    offer: String,
    east: Shopper,
    west: Shopper,
    key: String,
    body: Value,
}

async fn asked(deployment: &Deployment, card_token: &str) -> Result<Asked> {
    let offer = deployment.offer(1_200, 10, 10).await?;
    let (east, west) = at_both(deployment).await?;
    let (cart_id, version) = east.cart_with(&[(&offer, 1)]).await?;
    let (key, body) = (Uuid::now_v7().to_string(), order_body(&cart_id, &version, card_token));
    Ok(Asked { offer, east, west, key, body })
}

async fn repeated(deployment: Arc<Deployment>) -> Result<()> {
    let Asked { east, west, key, body, .. } = asked(&deployment, "tok_visa").await?;
    let order_id = placed(east.post_with_key("/v1/orders", &key, &body).await?)?;
    for _ in 0..2 {
        ensure!(placed(west.post_with_key("/v1/orders", &key, &body).await?)? == order_id, "another order");
    }
    for shopper in [&east, &west] {
        let order = shopper.get(&format!("/v1/orders/{order_id}")).await?.expect(200)?;
        ensure!(order["home_region"] == "east", "{order}");
        ensure!(orders(shopper).await? == [order_id.as_str()], "the lists differ");
    }
    ensure!(charges(&deployment, &order_id).await? == 1, "charged twice");
    Ok(())
}

async fn refused(deployment: Arc<Deployment>) -> Result<()> {
    let Asked { east, west, key, mut body, .. } = asked(&deployment, "tok_chargeDeclined").await?;
    for shopper in [&east, &west, &east, &west] {
        shopper.post_with_key("/v1/orders", &key, &body).await?.expect_problem(402, "CARD_DECLINED")?;
    }
    // Not even with a card that works: it is another request, and the key is taken.
    body["card_token"] = json!("tok_visa");
    west.post_with_key("/v1/orders", &key, &body).await?.expect_problem(409, "IDEMPOTENCY_KEY_REUSED")
}

async fn at_once(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(1_400, 20, 20).await?;
    let (east, west) = at_both(&deployment).await?;
    for _ in 0..5 {
        let (cart_id, version) = east.cart_with(&[(&offer, 1)]).await?;
        let body = order_body(&cart_id, &version, "tok_visa");
        let (one, other) = tokio::join!(east.post("/v1/orders", body.clone()), west.post("/v1/orders", body.clone()));
        let (won, lost) = match (one?, other?) {
            (one, other) if one.status.as_u16() == 201 => (one, other),
            (one, other) => (other, one),
        };
        placed(won)?;
        lost.expect_problem(409, "CART_VERSION_STALE")?;
    }
    ensure!(orders(&west).await?.len() == 5, "more orders than carts");
    Ok(())
}

async fn cut_off(deployment: Arc<Deployment>) -> Result<()> {
    let Asked { offer, east, west, key, body } = asked(&deployment, "tok_visa").await?;
    // The request is known in the west: it handed it on.
    let order_id = placed(west.post_with_key("/v1/orders", &key, &body).await?)?;
    during(&deployment, "wan cut", async {
        until_cut_is_known(&west, &order_id).await?;
        let path = format!("/v1/orders/{order_id}");
        let answers = [
            west.post_with_key("/v1/orders", &key, &body).await?,
            west.post(&format!("{path}/cancel"), json!({})).await?,
            west.post(&format!("{path}/returns"), json!({"lines": [{"offer_id": offer, "quantity": 1}]})).await?,
        ];
        // It had been done, so no answer may say that nothing was.
        let repeated = answers[0].body["detail"].as_str().unwrap_or_default();
        ensure!(repeated.contains("may have been done there"), "{repeated}");
        for answer in answers {
            answer.expect_problem(503, "HOME_REGION_UNREACHABLE")?;
            ensure!(answer.body["detail"].as_str().is_some_and(|detail| detail.contains("east")), "{}", answer.body);
        }
        let list = west.get("/v1/orders").await?.expect(200)?;
        ensure!(list["unreachable_regions"] == json!(["east"]), "{list}");
        Ok(())
    })
    .await?;
    let captured = east.captured(&order_id).await?;
    ensure!(captured["state"] == "shipped", "touched: {captured}");
    ensure!(charges(&deployment, &order_id).await? == 1, "charged twice");
    Ok(())
}

async fn healed(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(1_600, 10, 10).await?;
    let (east, west) = at_both(&deployment).await?;
    let before = east.placed_order(&[(&offer, 1)]).await?;
    let (cart_id, version) = east.cart_with(&[(&offer, 2)]).await?;
    until_shown(&west, &cart_id, &version).await?;
    let (key, body) = (Uuid::now_v7().to_string(), order_body(&cart_id, &version, "tok_visa"));
    let (first, second) = during(&deployment, "wan cut", async {
        until_cut_is_known(&west, &before).await?;
        let first = placed(east.post_with_key("/v1/orders", &key, &body).await?)?;
        Ok((first, placed(west.post_with_key("/v1/orders", &key, &body).await?)?))
    })
    .await?;
    ensure!(first != second, "the cut did not bite");
    for shopper in [&east, &west] {
        let undone = |order: &Value| {
            let is_paid_back = order["refunded_minor"] == order["total"]["minor_units"];
            order["superseded_by"] == json!(first) && (order["state"] == "cancelled" || is_paid_back)
        };
        shopper.order_until(&second, "undone", undone).await?;
        let answer = placed(shopper.post_with_key("/v1/orders", &key, &body).await?)?;
        ensure!(answer == first, "a repeat is answered with {answer}, not with {first}, which stands");
    }
    for (order_id, twin) in [(&first, &second), (&second, &first)] {
        let named = |told: &Value| told["heading"].to_string().contains(twin.as_str()) && told["verdict"] == "settled";
        explained_until(&deployment, order_id, named).await?;
    }
    let order = east.captured(&first).await?;
    ensure!(order["superseded_by"].is_null() && order["refunded_minor"] == 0, "{order}");
    Ok(())
}

fn placed(answer: Answer) -> Result<String> {
    Ok(answer.expect(201)?["order_id"].as_str().context("no order id")?.to_owned())
}

/// The ids of a shopper's orders, newest first; both regions must have been asked.
async fn orders(shopper: &Shopper) -> Result<Vec<String>> {
    let page = shopper.get("/v1/orders").await?.expect(200)?;
    ensure!(page["unreachable_regions"] == json!([]), "{page}");
    let orders = page["orders"].as_array().context("no orders")?;
    Ok(orders.iter().filter_map(|order| order["order_id"].as_str()).map(str::to_owned).collect())
}

/// Waits until a region shows this version of a cart. Bounded: half a minute.
async fn until_shown(shopper: &Shopper, cart_id: &str, version: &str) -> Result<()> {
    for _ in 0..150 {
        if shopper.get(&format!("/v1/carts/{cart_id}")).await?.body["version"] == json!(version) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("cart {cart_id} does not arrive")
}

/// Waits until a region knows that the home of an order cannot be reached, so that it asks it no more. Bounded: half a minute.
async fn until_cut_is_known(shopper: &Shopper, order_id: &str) -> Result<()> {
    let mut last = Value::Null;
    for _ in 0..150 {
        last = shopper.get(&format!("/v1/orders/{order_id}")).await?.body;
        if last["detail"].as_str().is_some_and(|detail| detail.contains("cannot be reached")) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("the cut is not noticed: {last}")
}
