//! An order explains itself: what happened to it, in every store, and what it waits for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ids::Region;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Scenarios;
use crate::client::order_body;
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("an_order_explains_itself_from_request_to_ledger", explained),
        scenarios.trial("an_order_explains_what_it_waits_for", waiting),
        scenarios.trial("a_declined_order_explains_why", declined),
        scenarios.trial("an_unknown_order_is_an_error_that_says_what_to_do", unknown),
        scenarios.trial("every_consumer_that_applies_events_is_one_that_explanations_know", consumers),
    ]
}

/// What `backbone order explain` says, as JSON.
pub async fn explain(deployment: &Deployment, order: &str) -> Result<Value> {
    let (status, output) = deployment.backbone_says(&["order", "explain", order, "--json"]).await?;
    ensure!(status.success(), "explain ended with {status}");
    serde_json::from_str(&output).context("explain printed no JSON")
}

/// Explains the order until `done` says yes of it. Bounded: a minute and a half, for consumers whose broker was away.
pub async fn explained_until(deployment: &Deployment, order: &str, done: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut last = Value::Null;
    let deadline = Instant::now() + Duration::from_secs(90);
    while Instant::now() < deadline {
        last = explain(deployment, order).await?;
        if done(&last) {
            return Ok(last);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("the order is not explained as it should be: {last:#}")
}

/// Whether the moments that these name are in the timeline, in this order.
fn tells(explanation: &Value, expected: &[(&str, &str)]) -> Result<()> {
    let timeline = explanation["timeline"].as_array().context("no timeline")?;
    let mut moments = timeline.iter();
    for (place, what) in expected {
        let is_it = |moment: &Value| {
            moment["place"].as_str().is_some_and(|text| text.starts_with(place))
                && moment["what"].as_str().is_some_and(|text| text.contains(what))
        };
        ensure!(moments.any(is_it), "{place}: {what} is not in its place in {timeline:#?}");
    }
    Ok(())
}

async fn explained(deployment: Arc<Deployment>) -> Result<()> {
    // More than the region holds: rights move for it too.
    let offer = deployment.offer(1_500, 1, 5).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, version) = shopper.cart_with(&[(&offer, 3)]).await?;
    let (key, body) = (Uuid::now_v7().to_string(), order_body(&cart_id, &version, "tok_visa"));
    let order = shopper.post_with_key("/v1/orders", &key, &body).await?.expect(201)?;
    let order_id = order["order_id"].as_str().context("no order id")?;
    shopper.captured(order_id).await?;
    let lines = json!({"lines": [{"offer_id": offer, "quantity": 1}]});
    shopper.post(&format!("/v1/orders/{order_id}/returns"), lines).await?;
    shopper.order_until(order_id, "refunded", |order| order["refunded_minor"] == 1_500).await?;

    let told = explained_until(&deployment, order_id, |told| told["verdict"] == "settled").await?;
    ensure!(told["unread"] == json!([]) && told["notes"] == json!([]), "{told:#}");
    // Within one place times are comparable; between places only what caused what is.
    let home = [
        ("east cart", "checkout begun"),
        ("east order", key.as_str()),
        ("east order", "order.placed.v1 decided"),
        ("east Kafka", "order.placed.v1 at order.placed.v1/"),
        ("east order", "order.shipped.v1 decided"),
        ("east Kafka", "order.shipped.v1 at order.shipped.v1/"),
        ("east inbox", "payment applied order.shipped.v1"),
        ("east order", "return "),
        ("east Kafka", "payment.refunded.v1 at "),
    ];
    tells(&told, &home)?;
    let provider = [
        ("provider, east", "authorised 45.00 GBP"),
        ("provider, east", "captured 45.00 GBP"),
        ("provider, east", "paid back 15.00 GBP"),
    ];
    tells(&told, &provider)?;
    tells(
        &told,
        &[("east inventory", "asked the other region for rights"), ("east inbox", "inventory applied order.placed.v1")],
    )?;
    tells(&told, &[("west inventory", "gave up")])?;
    tells(&told, &[("east ledger", "capture posted"), ("east ledger", "refund posted")])?;
    for topic in ["order.placed.v1", "order.shipped.v1", "payment.captured.v1", "payment.refunded.v1"] {
        tells(&told, &[("west Kafka", topic)])?;
    }
    ensure!(told["traces"].as_array().is_some_and(|traces| !traces.is_empty()), "no trace in {told:#}");
    let text = told.to_string();
    for secret in ["tok_visa", "United Kingdom"] {
        ensure!(!text.contains(secret), "{secret} is in the explanation");
    }
    // The beginning of an id that nobody else has does too.
    let beginning = &order_id[..order_id.len() - 4];
    ensure!(explain(&deployment, beginning).await?["order_id"] == order_id, "{beginning} is not {order_id}");
    Ok(())
}

/// While Kafka is away the event waits in the outbox, and the order says so; afterwards it is settled.
async fn waiting(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(1_500, 5, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    deployment.stop("east/kafka").await?;
    let during = async {
        let order_id = shopper.placed_order(&[(&offer, 1)]).await?;
        Ok::<_, anyhow::Error>((explain(&deployment, &order_id).await, order_id))
    };
    let during = during.await;
    deployment.start("east/kafka").await?;
    let (told, order_id) = during?;
    let told = told?;
    let waits = told["verdict"]["waits"].to_string();
    ensure!(waits.contains("order.placed.v1 to leave the outbox of east order"), "{told:#}");
    ensure!(told["unread"].to_string().contains("the east Kafka"), "{told:#}");
    shopper.captured(&order_id).await?;
    explained_until(&deployment, &order_id, |told| told["verdict"] == "settled").await?;
    Ok(())
}

async fn declined(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(1_500, 0, 5).await?;
    let shopper = deployment.shopper(Region::West).await?;
    shopper.order(&[(&offer, 2)], "tok_chargeDeclined").await?.expect_problem(402, "CARD_DECLINED")?;
    // The refusal tells no order id; the database does.
    let mut database = deployment.database(Region::West, "order").await?;
    let order_id: Uuid = sqlx::query_scalar(
        "select order_id from customer_order join order_line using (order_id) where offer_id = $1 and state = 'rejected'",
    )
    .bind(&offer)
    .fetch_one(&mut database)
    .await?;
    let told = explained_until(&deployment, &order_id.to_string(), |told| told["verdict"] == "settled").await?;
    tells(&told, &[("provider, west", "declined 30.00 GBP (generic_decline)")])?;
    ensure!(told["heading"].to_string().contains("CARD_DECLINED"), "{told:#}");
    Ok(())
}

async fn unknown(deployment: Arc<Deployment>) -> Result<()> {
    let (status, _) = deployment.backbone_says(&["order", "explain", &Uuid::now_v7().to_string()]).await?;
    ensure!(status.code() == Some(1), "an unknown order ended with {status}");
    let (status, _) = deployment.backbone_says(&["order", "explain", "my-order"]).await?;
    ensure!(status.code() == Some(2), "what is no id ended with {status}");
    Ok(())
}

/// The command line's list of consumers is one of its own. Every inbox of everything above must agree with it.
async fn consumers(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(1_500, 5, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let order_id = shopper.placed_order(&[(&offer, 1)]).await?;
    shopper.captured(&order_id).await?;
    explained_until(&deployment, &order_id, |told| told["verdict"] == "settled").await?;
    let mut found = BTreeSet::new();
    for region in Region::ALL {
        for service in ["cart", "inventory", "payment", "order"] {
            let mut database = deployment.database(region, service).await?;
            let here: Vec<String> =
                sqlx::query_scalar("select distinct consumer from inbox").fetch_all(&mut database).await?;
            found.extend(here.into_iter().map(|consumer| (service, consumer)));
        }
    }
    let known: BTreeSet<(&str, String)> = backbone::spine::consumers::CONSUMERS
        .iter()
        .map(|consumer| (consumer.database, consumer.group.to_owned()))
        .collect();
    ensure!(found == known, "the inboxes know {found:?}, the command line {known:?}");
    Ok(())
}
