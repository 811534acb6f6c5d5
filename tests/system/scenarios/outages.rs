//! A server stops while requests run: clear errors or slower answers, and nothing lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ids::Region;
use libtest_mimic::Trial;
use serde_json::json;
use uuid::Uuid;

use crate::Scenarios;
use crate::client::{Shopper, order_body};
use crate::deployment::Deployment;

pub fn scenarios(scenarios: &Scenarios) -> Vec<Trial> {
    vec![
        scenarios.trial("without_redis_requests_are_served", redis),
        scenarios.trial("without_kafka_orders_are_placed_and_captured_once_it_is_back", kafka),
        scenarios.trial("without_the_peers_kafka_a_region_works_alone", peer_kafka),
        scenarios.trial("without_postgres_requests_fail_clearly_and_acknowledged_ones_survive", postgres),
        scenarios.trial("without_the_provider_no_order_is_placed_and_none_is_charged_twice", provider),
        scenarios.trial("a_provider_that_times_out_after_charging_has_charged_once", provider_times_out),
    ]
}

async fn redis(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 10, 10).await?;
    deployment.stop("east/redis").await?;
    let served = async {
        let shopper = deployment.shopper(Region::East).await?;
        let order_id = shopper.placed_order(&[(&offer, 1)]).await?;
        shopper.captured(&order_id).await
    };
    let served = served.await;
    deployment.start("east/redis").await?;
    served.map(|_| ())
}

async fn kafka(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 10, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    deployment.stop("east/kafka").await?;
    let placed = shopper.placed_order(&[(&offer, 2)]).await;
    deployment.start("east/kafka").await?;
    shopper.captured(&placed?).await?;
    deployment.stock_until(Region::East, &offer, |level| level.sold == 2).await?;
    Ok(())
}

async fn peer_kafka(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 10, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    deployment.stop("west/kafka").await?;
    let captured = async {
        let order_id = shopper.placed_order(&[(&offer, 2)]).await?;
        shopper.captured(&order_id).await
    };
    let captured = captured.await;
    deployment.start("west/kafka").await?;
    captured.map(|_| ())
}

async fn postgres(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(100, 50, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, _) = shopper.cart_with(&[]).await?;
    let cart = format!("/v1/carts/{cart_id}");
    let mut adds = Adds { shopper: &shopper, cart: &cart, offer: &offer, added: 0, refused: 0 };
    adds.until(|adds| adds.added >= 10).await?;
    // An add waits for the database as long as it may, so the outage lasts until one was refused.
    let (felt, killed) = tokio::join!(adds.until(|adds| adds.refused > 0), deployment.kill("east/postgres"));
    killed?;
    deployment.start("east/postgres").await?;
    felt?;
    // Reads are back with the database. Edits are once the other region has told what it has of this one's log (ADR 15).
    let before = adds.added;
    adds.until(|adds| adds.added > before).await?;
    let quantity = eventually(&shopper, &cart).await?["lines"][0]["quantity"].as_i64().context("no line")?;
    // Every acknowledged add counts. One without an answer may or may not; its repeat under the same key would tell.
    let possible = adds.added..=adds.added + adds.refused;
    ensure!(possible.contains(&quantity), "{quantity} units in the cart, not {possible:?}");
    let order_id = shopper.placed_order(&[(&offer, 1)]).await?;
    shopper.captured(&order_id).await?;
    Ok(())
}

/// Adds of one unit each, one after another.
struct Adds<'a> {
    shopper: &'a Shopper,
    /// Its path.
    cart: &'a str,
    offer: &'a str,
    added: i64,
    refused: i64,
}

impl Adds<'_> {
    /// Bounded: a minute.
    async fn until(&mut self, done: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            let accepted = self.add_one().await?;
            if done(self) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(if accepted { 5 } else { 300 })).await;
        }
        anyhow::bail!("after a minute of adds to {} {} are added, {} refused", self.cart, self.added, self.refused)
    }

    /// Says whether it was accepted. A refusal must be a problem that says what to do.
    async fn add_one(&mut self) -> Result<bool> {
        let path = format!("{}/lines", self.cart);
        let answer = self.shopper.post(&path, json!({"offer_id": self.offer, "quantity": 1})).await?;
        match answer.status.as_u16() {
            200 => self.added += 1,
            503 => {
                answer.expect_problem(503, answer.code())?;
                self.refused += 1;
            }
            504 => self.refused += 1,
            _ => anyhow::bail!("unclear refusal: {} {}", answer.status, answer.body),
        }
        Ok(answer.status.is_success())
    }
}

/// Reads until it succeeds: a service needs a moment to notice that its database is back. Bounded: half a minute.
async fn eventually(shopper: &Shopper, path: &str) -> Result<serde_json::Value> {
    for _ in 0..100 {
        let answer = shopper.get(path).await?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    anyhow::bail!("{path} does not come back")
}

async fn provider(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(4_200, 10, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, version) = shopper.cart_with(&[(&offer, 1)]).await?;
    let (key, body) = (Uuid::now_v7().to_string(), order_body(&cart_id, &version, "tok_visa"));
    deployment.stop("outside/psp").await?;
    let during = shopper.post_with_key("/v1/orders", &key, &body).await;
    deployment.start("outside/psp").await?;
    let during = during?;
    let status = during.status.as_u16();
    ensure!(matches!(status, 202 | 503), "neither pending nor unavailable: {status} {}", during.body);
    let after = retried(&shopper, &key, &body).await?;
    let order_id = after["order_id"].as_str().context("no order id")?;
    shopper.captured(order_id).await?;
    Ok(())
}

async fn provider_times_out(deployment: Arc<Deployment>) -> Result<()> {
    let offer = deployment.offer(4_300, 10, 0).await?;
    let shopper = deployment.shopper(Region::East).await?;
    let (cart_id, version) = shopper.cart_with(&[(&offer, 1)]).await?;
    let (key, body) = (Uuid::now_v7().to_string(), order_body(&cart_id, &version, "tok_visa"));
    deployment.provider_faults(json!({"timeout_after_work": 1.0})).await?;
    let during = shopper.post_with_key("/v1/orders", &key, &body).await;
    deployment.provider_faults(json!({})).await?;
    let during = during?;
    ensure!(!during.status.is_client_error(), "{} {}", during.status, during.body);
    let after = retried(&shopper, &key, &body).await?;
    let order_id = after["order_id"].as_str().context("no order id")?;
    shopper.captured(order_id).await?;
    let charged = charges(&deployment, order_id).await?;
    ensure!(charged == 1, "the provider has {charged} payments for order {order_id}");
    Ok(())
}

/// Repeats an order request until it is placed, as a client with a pending order would. Bounded: a minute and a half.
pub async fn retried(shopper: &Shopper, key: &str, body: &serde_json::Value) -> Result<serde_json::Value> {
    let mut last = None;
    for _ in 0..90 {
        let answer = shopper.post_with_key("/v1/orders", key, body).await?;
        if answer.status.as_u16() == 201 {
            return Ok(answer.body);
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    anyhow::bail!("not placed after 90 tries: {last:?}")
}

/// How often the provider's own ledger, the independent witness, took money for an order.
pub(super) async fn charges(deployment: &Deployment, order_id: &str) -> Result<usize> {
    let ledger = tokio::fs::read_to_string(deployment.layout.psp_ledger()).await?;
    let of_order = ledger.lines().filter(|line| line.contains(order_id));
    Ok(of_order.filter(|line| line.contains("authorised") || line.contains("authorized")).count())
}
