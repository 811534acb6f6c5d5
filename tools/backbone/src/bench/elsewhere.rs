//! What an order costs its shopper who is not at home: its cart is decided in the owner's home, over the link.

use std::time::Duration;

use anyhow::ensure;
use chrono::Utc;
use ids::{CartId, CustomerId, Region};
use serde::Serialize;
use tokio::time::Instant;
use uuid::Uuid;

use super::aim::Aim;
use super::table::{Figures, fill};
use crate::client::api::{DeliveryRequest, LineRequest, OrderRequest};
use crate::client::view::OrderState;
use crate::client::{Api, Deployment, Goods, Retries, Session, Shelf};
use crate::load::latency::{Latencies, Percentiles};
use crate::platform::Layout;
use crate::wan::Panel;

const SECTION: &str = include_str!("sections/elsewhere.md");
/// Orders of each kind, one after the other: what is measured is a path, not a rate.
const ORDERS: u32 = 100;
/// How many round trips the difference may be.
const ROUND_TRIPS_AIM: f64 = 1.25;
const SESSIONS_LAST: Duration = Duration::from_secs(60 * 60);

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// As the link says.
    pub round_trip_ms: f64,
    /// Where the shopper's session began.
    pub at_home: Percentiles,
    /// In the other region.
    pub elsewhere: Percentiles,
}

/// Places orders of one line of shoppers of the east, in turn there and in the west.
///
/// # Errors
/// The system cannot be used, or an order was not placed.
pub async fn measure(layout: &Layout, deployment: &Deployment) -> anyhow::Result<Measured> {
    let link = Panel::of(layout)?.show().await?;
    let round_trip_ms = (link.east_west.delay_us + link.west_east.delay_us) as f64 / 1_000.0;
    // A run of its own: its offer has the units it needs.
    let run = Uuid::now_v7();
    let offer_id = format!("elsewhere_{}", run.simple());
    let (title, units) = ("Elsewhere".to_owned(), i64::from(ORDERS) * 4);
    let goods = [Goods::split(offer_id.clone(), "bench".to_owned(), title, 1_000, units)];
    for region in Region::ALL {
        let shelf = Shelf::of(deployment, region)?;
        shelf.upsert(&goods).await?;
        shelf.receive(&goods, |_| Uuid::new_v5(&run, region.name().as_bytes())).await?;
    }
    let [east, west] = Region::ALL.map(|region| Api::new(deployment.endpoint(region), 1));
    let (at_home, elsewhere) = (Latencies::default(), Latencies::default());
    for _ in 0..ORDERS {
        for (asked, latencies) in [(&east, &at_home), (&west, &elsewhere)] {
            latencies.record(one_order(deployment, &east, asked, &offer_id).await?);
        }
    }
    Ok(Measured { round_trip_ms, at_home: at_home.percentiles(), elsewhere: elsewhere.percentiles() })
}

/// How long `asked` took to place an order of a shopper of the east.
async fn one_order(deployment: &Deployment, east: &Api, asked: &Api, offer_id: &str) -> anyhow::Result<Duration> {
    let customer = CustomerId::generate_in(Region::East);
    let session = deployment.session_key.mint(customer, Utc::now() + SESSIONS_LAST);
    let (cart_id, cart_version) = filled(east, &session, offer_id).await?;
    let delivery = DeliveryRequest { country: "France" };
    let order = OrderRequest { cart_id, cart_version: &cart_version, card_token: "tok_visa", delivery };
    let begin = Instant::now();
    // No repeats: a repeat would be measured, and would not be one order's path.
    let status = asked.place_order(&session, "order", &order).await?;
    let took = begin.elapsed();
    ensure!(status.state == OrderState::Placed, "an order is {:?}, not placed", status.state);
    Ok(took)
}

async fn filled(east: &Api, session: &Session, offer_id: &str) -> anyhow::Result<(CartId, String)> {
    let retries = Retries::default();
    let cart_id = retries.run(|| east.create_cart(session, "cart")).await?.cart_id;
    let line = LineRequest { offer_id, quantity: 1 };
    let changed = retries.run(|| east.add_line(session, cart_id, "line", &line)).await?;
    Ok((cart_id, changed.version))
}

/// The section's text.
pub fn section(measured_with: &str, measured: &Measured) -> String {
    let Measured { round_trip_ms, at_home, elsewhere } = measured;
    let mut figures = Figures::default();
    let shown = |latency: &Percentiles| format!("{:.1} / {:.1} ms", latency.p50_ms, latency.p99_ms);
    figures.add("placed at home, p50 / p99", shown(at_home));
    figures.add(&format!("placed in the other region, round trip {round_trip_ms:.0} ms, p50 / p99"), shown(elsewhere));
    let difference = elsewhere.p50_ms - at_home.p50_ms;
    let aim = ROUND_TRIPS_AIM * round_trip_ms;
    let verdict = Aim::AtMost(aim).verdict(difference);
    figures.add_aimed("the difference at p50", format!("{difference:.1} ms"), &format!("< {aim:.0} ms"), verdict);
    let orders = ORDERS.to_string();
    fill(SECTION, &[("measured_with", measured_with), ("figures", figures.markdown()), ("orders", &orders)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_held_against_a_round_trip() {
        let latency = |p50_ms| Percentiles { count: 1, p50_ms, p99_ms: p50_ms, p999_ms: p50_ms, max_ms: p50_ms };
        let measured = Measured { round_trip_ms: 80.0, at_home: latency(20.0), elsewhere: latency(220.0) };
        let text = section("Measured.", &measured);
        assert!(text.contains("| 200.0 ms | < 100 ms | **missed by a factor of 2.00** |"), "{text}");
        assert!(!text.contains("{{"), "{text}");
    }
}
