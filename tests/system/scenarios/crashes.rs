//! `kill -9` of each service while orders run: every order ends, none twice, and the audit agrees.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use ids::Region;
use libtest_mimic::Trial;
use serde_json::Value;
use uuid::Uuid;

use crate::Scenarios;
use crate::client::{Shopper, order_body};
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    let services = ["cart", "inventory", "payment", "order", "bff"];
    let trial = |service: &'static str| {
        scenarios.trial(&format!("orders_survive_kill_9_of_{service}"), move |deployment| killed(deployment, service))
    };
    services.into_iter().map(trial).collect()
}

/// Shoppers ordering while the service dies.
const SHOPPERS: usize = 8;

async fn killed(deployment: Arc<Deployment>, service: &'static str) -> Result<()> {
    let units = i64::try_from(SHOPPERS)?;
    let offer = deployment.offer(250, units, 0).await?;
    let mut requests = Vec::new();
    for _ in 0..SHOPPERS {
        let shopper = deployment.shopper(Region::East).await?;
        let (cart_id, version) = shopper.cart_with(&[(&offer, 1)]).await?;
        requests.push((shopper, Uuid::now_v7().to_string(), order_body(&cart_id, &version, "tok_visa")));
    }
    let part = format!("east/{service}");
    let crash = async {
        // In the midst of them: the first orders take a few milliseconds each.
        tokio::time::sleep(Duration::from_millis(15)).await;
        deployment.kill(&part).await?;
        deployment.start(&part).await
    };
    let orders = try_join_all(requests.iter().map(|(shopper, key, body)| until_placed(shopper, key, body)));
    let (orders, crash) = tokio::join!(orders, crash);
    crash?;
    for ((shopper, ..), order) in requests.iter().zip(orders?) {
        let order_id = order["order_id"].as_str().context("no order id")?;
        shopper.captured(order_id).await?;
    }
    let level = deployment.stock_until(Region::East, &offer, |level| level.sold == units).await?;
    ensure!((level.available, level.reserved) == (0, 0), "{level:?}");
    Ok(())
}

/// What a patient client does: the same request with the same key until it is answered. Bounded: two minutes.
async fn until_placed(shopper: &Shopper, key: &str, body: &Value) -> Result<Value> {
    let mut last = String::new();
    for _ in 0..120 {
        match shopper.post_with_key("/v1/orders", key, body).await {
            Ok(answer) if answer.status.as_u16() == 201 => return Ok(answer.body),
            Ok(answer) if matches!(answer.status.as_u16(), 202 | 503 | 504) => last = answer.body.to_string(),
            Ok(answer) => anyhow::bail!("{} {}", answer.status, answer.body),
            // The bff itself is down: no answer at all.
            Err(error) => last = format!("{error:#}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::bail!("not placed after 120 tries: {last}")
}
