//! `services/order`: requests, the saga's driver, recovery, refunds, fulfilment.
//!
//! The plan, its table, the order's lifecycle and the decisions about returns are the service's own. What is written here follows
//! `sagas/place_order/{begin,drive,steps}.rs`, `sagas/{cancel,return}_order.rs` and `workers` line by line, over the simulated stores.

mod after;
mod begin;
mod drive;
mod intention;
mod steps;

use std::time::Duration;

use ids::OrderId;
use order::domain::Fate;

use super::Me;
use crate::consumer::Consumer;
use crate::network::call;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::spine::{Event, Topic};
use crate::world::{Service, World};
use crate::{Micros, SECOND};

pub use after::{cancel, recover, refund_due, ship, take_back};
pub use begin::{PlaceAnswer, PlaceRequest, place};
pub use intention::{settle_intentions, watch_peer};

/// `return_order::LEASE`.
pub const RETURN_LEASE: Micros = 4 * SECOND;

/// `drive::CALL_MAX`.
const CALL_MAX: Micros = 3 * SECOND;

/// `workers::fulfilment::schedule`.
pub const FULFILMENT: Consumer = Consumer {
    group: "order-fulfilment",
    topics: &[Topic::OrderPlaced],
    effect: |world, at, event| world.schedule(at, event.order),
};

/// `workers::payment_events`.
pub const PAYMENT_EVENTS: Consumer = Consumer {
    group: "order",
    topics: &[Topic::PaymentCaptured, Topic::PaymentRefunded],
    effect: |world, at, event| match event.refund {
        None => world.mark_captured(at, event.order, event.amount_minor),
        Some(refund) if world.mark_refunded(at, refund) == Some(event.amount_minor) => Ok(()),
        Some(_) => Err("matches nothing here".to_owned()),
    },
};

/// `GetOrderFate`, over the network: the outer option is the answer, the inner whether the order is known.
pub async fn ask_fate(sim: &Sim, me: Me, order: OrderId) -> Option<Option<Fate>> {
    let ask = move |sim: Sim, there: Me| async move {
        sim.moment().await;
        sim.with(|world| {
            let fate = world.regions[there.region].orders.fate(order);
            let is_cancelled = |world: &World| world.regions[there.region].orders.is_cancelled(order);
            if world.removed(Sabotage::CancelledFate) && is_cancelled(world) { Some(Fate::Ended) } else { fate }
        })
    };
    call(sim, (me.region, me.region), Service::Order, SECOND, ask).await
}

fn said(sim: &Sim, me: Me, topic: Topic, order: OrderId) -> Event {
    let id = sim.with(|world| world.number());
    Event { id, topic, order, refund: None, amount_minor: 0, home: me.region }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a short time")
}
