//! Orders at a rate, each under a key of its own, whatever becomes of the system meanwhile.
//!
//! An open loop: an order is sent when it is due, not when the one before was answered. A shopper who gets no clear answer asks again
//! under the same key, as the interface tells them to, and gives up after a minute; what became of the order then is found out
//! afterwards ([`super::fates`]).

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::Retries;
use crate::load::carts::{Cart, Shops};
use crate::load::latency::{Latencies, Percentiles};
use crate::load::open_loop::{self, Told};

/// An order that was asked for.
#[derive(Debug)]
pub struct Asked {
    /// What it is of.
    pub cart: Cart,
    /// When it was due, from the first one on.
    pub due: Duration,
    /// From then to the answer that its shopper was content with.
    pub latency: Duration,
    /// That answer.
    pub told: Told,
    /// How often it was sent again.
    pub repeats: u64,
}

/// Sends an order for each cart, `rate` a second from `start` on, and returns what each shopper was told.
///
/// # Errors
/// A shopper's task broke down.
pub async fn run(shops: &Shops, carts: Vec<Cart>, rate: u32, start: Instant) -> Result<Vec<Asked>> {
    let mut shoppers = JoinSet::new();
    let interval = Duration::from_secs(1) / rate.max(1);
    let mut asked = Vec::with_capacity(carts.len());
    for (number, cart) in (0_u32..).zip(carts) {
        let due = interval * number;
        sleep_until(start + due).await;
        let api = Arc::clone(shops.api(cart.region));
        shoppers.spawn(async move {
            let retries = Retries::default();
            let answer = retries.run(|| open_loop::order(&api, &cart)).await;
            let latency = (start + due).elapsed();
            Asked { cart, due, latency, told: open_loop::told(answer), repeats: retries.count() }
        });
        while let Some(done) = shoppers.try_join_next() {
            asked.push(done.context("a shopper broke down")?);
        }
    }
    while let Some(done) = shoppers.join_next().await {
        asked.push(done.context("a shopper broke down")?);
    }
    Ok(asked)
}

/// Percentiles of the orders that were due from `from` to `to`.
pub fn latency(asked: &[Asked], from: Duration, to: Duration) -> Percentiles {
    let latencies = Latencies::default();
    asked.iter().filter(|asked| (from..to).contains(&asked.due)).for_each(|asked| latencies.record(asked.latency));
    latencies.percentiles()
}
