//! One run at one rate.

use std::collections::BTreeMap;
use std::time::Duration;

use ids::OrderId;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::carts::{Cart, Shops};
use super::latency::{Latencies, Percentiles};
use crate::client::api::{DeliveryRequest, OrderRequest};
use crate::client::view::{OrderState, OrderStatus};
use crate::client::{Api, CallError};

/// What a shopper was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The order is placed and costs so much.
    Placed {
        /// The order.
        order: OrderId,
        /// Minor units.
        total: Option<i64>,
    },
    /// It is not decided yet.
    Pending {
        /// The order.
        order: OrderId,
    },
    /// No, for good; why.
    Refused(String),
    /// Nothing clear: the order may be placed all the same.
    Unclear(String),
}

/// A reply and the cart it was about.
#[derive(Debug)]
pub struct Reply {
    /// The cart.
    pub cart: Cart,
    /// What its shopper was told.
    pub told: Told,
}

/// How a run went.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Step {
    /// Orders a second that were due, over both regions.
    pub rate: u32,
    /// Orders placed.
    pub placed: usize,
    /// From the first order due to the last answer.
    pub seconds: f64,
    /// From when an order was due to its answer.
    pub latency: Percentiles,
    /// How late this program itself was in sending: its own part of the latency.
    pub sent_late: Percentiles,
    /// Most orders in flight at once.
    pub in_flight_max: usize,
    /// Answers other than "placed", by reason.
    pub errors: BTreeMap<String, usize>,
}

impl Step {
    /// Whether no order failed and 99 of 100 were within the limit.
    pub fn is_good(&self, p99_limit_ms: u32) -> bool {
        self.errors.is_empty() && self.placed > 0 && self.latency.p99_ms < f64::from(p99_limit_ms)
    }
}

/// Orders each cart when it is due, `rate` a second, however the earlier ones do. Returns the figures and every reply.
pub async fn run(shops: &Shops, carts: Vec<Cart>, rate: u32) -> (Step, Vec<Reply>) {
    let (latencies, lateness) = (Latencies::default(), Latencies::default());
    let mut replies = Vec::with_capacity(carts.len());
    let mut in_flight = JoinSet::new();
    let mut step = Step { rate, ..Step::default() };
    let interval = Duration::from_secs(1) / rate.max(1);
    let start = Instant::now() + Duration::from_millis(100);
    let mut due = start;
    for cart in carts {
        tokio::time::sleep_until(due).await;
        lateness.record(due.elapsed());
        let (api, was_due) = (std::sync::Arc::clone(shops.api(cart.region)), due);
        in_flight.spawn(async move {
            let told = told(order(&api, &cart).await);
            (Reply { cart, told }, was_due.elapsed())
        });
        step.in_flight_max = step.in_flight_max.max(in_flight.len());
        while let Some(finished) = in_flight.try_join_next() {
            take(finished, &latencies, &mut step, &mut replies);
        }
        due += interval;
    }
    while let Some(finished) = in_flight.join_next().await {
        take(finished, &latencies, &mut step, &mut replies);
    }
    step.seconds = start.elapsed().as_secs_f64();
    step.latency = latencies.percentiles();
    step.sent_late = lateness.percentiles();
    (step, replies)
}

type Finished = Result<(Reply, Duration), tokio::task::JoinError>;

fn take(finished: Finished, latencies: &Latencies, step: &mut Step, replies: &mut Vec<Reply>) {
    let (reply, latency) = match finished {
        Ok(finished) => finished,
        Err(error) => {
            *step.errors.entry(error.to_string()).or_default() += 1;
            return;
        }
    };
    latencies.record(latency);
    match &reply.told {
        Told::Placed { .. } => step.placed += 1,
        Told::Pending { .. } => *step.errors.entry("pending".to_owned()).or_default() += 1,
        Told::Refused(why) | Told::Unclear(why) => *step.errors.entry(why.clone()).or_default() += 1,
    }
    replies.push(reply);
}

/// Orders a cart; asking again repeats the same request.
///
/// # Errors
/// [`CallError`].
pub async fn order(api: &Api, cart: &Cart) -> Result<OrderStatus, CallError> {
    let request = OrderRequest {
        cart_id: cart.cart_id,
        cart_version: &cart.version,
        card_token: "tok_visa",
        delivery: DeliveryRequest { country: "United Kingdom" },
    };
    api.place_order(&cart.session, &cart.key, &request).await
}

/// What an answer tells the shopper.
pub fn told(answer: Result<OrderStatus, CallError>) -> Told {
    let error = match answer {
        Ok(order) => return told_order(order),
        Err(error) => error,
    };
    let why = error.reason();
    if error.is_refusal() { Told::Refused(why) } else { Told::Unclear(why) }
}

fn told_order(order: OrderStatus) -> Told {
    match order.state {
        OrderState::Placed | OrderState::Shipped => {
            Told::Placed { order: order.order_id, total: order.total.map(|total| total.minor_units) }
        }
        OrderState::Pending => Told::Pending { order: order.order_id },
        OrderState::Rejected | OrderState::Cancelled => {
            Told::Refused(order.rejection_reason.unwrap_or_else(|| format!("{:?}", order.state)))
        }
    }
}
