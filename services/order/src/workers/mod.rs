//! What goes on without a request.
//!
//! - [`recovery`]: drives on what requests left undecided, and voids the payments of cancelled orders.
//! - [`refunds`]: drives refunds to the end.
//! - [`fulfilment`]: ships what was placed.
//! - [`intentions`]: settles what two regions made of one request.
//! - [`payment_events`]: notes what payment did.
//! - [`parked`]: shows how much waits for a person.

pub mod fulfilment;
pub mod intentions;
pub mod parked;
pub mod payment_events;
pub mod recovery;
pub mod refunds;
mod turns;

use std::sync::Arc;

use chassis::workers::Workers;
use sqlx::PgPool;

pub use turns::{Queue, run};

use crate::config::Config;
use crate::sagas::Sagas;
use crate::sagas::one_intention::OneIntention;

/// Starts all of them, and the relay of the outbox.
pub fn start(workers: &mut Workers, pool: &PgPool, config: &Config, sagas: &Sagas, intentions: &OneIntention) {
    let (spine, region, delay) = (&config.spine, config.service.region, config.fulfilment_delay());
    let relay = Arc::new(outbox::Relay::new(pool.clone(), spine, region, "order"));
    workers.spawn("relay", move |token| {
        let relay = relay.clone();
        async move { relay.run(token).await }
    });
    let schedule = fulfilment::Schedule::new(delay);
    let fulfilment = Arc::new(outbox::Consumer::new(pool.clone(), spine, region, "order-fulfilment", schedule));
    workers.spawn("fulfilment", move |token| {
        let consumer = fulfilment.clone();
        async move { consumer.run(token).await }
    });
    let store = sagas.store.clone();
    workers.spawn("ship", move |token| {
        let store = store.clone();
        async move { fulfilment::ship(&store, delay, token).await }
    });
    let events = payment_events::PaymentEvents;
    let payment = Arc::new(outbox::Consumer::new(pool.clone(), spine, region, "order", events));
    workers.spawn("payment-events", move |token| {
        let consumer = payment.clone();
        async move { consumer.run(token).await }
    });
    let recovery = recovery::Recovery::new(sagas.clone());
    workers.spawn("recovery", move |token| run(recovery.clone(), token));
    let store = sagas.store.clone();
    workers.spawn("parked", move |token| {
        let store = store.clone();
        async move { parked::watch(&store, token).await }
    });
    let (store, intentions) = (sagas.store.clone(), intentions.clone());
    workers.spawn("intentions", move |token| {
        let (store, intentions) = (store.clone(), intentions.clone());
        async move { intentions::run(&store, &intentions, token).await }
    });
    let refunds = refunds::Refunds::new(sagas.clone());
    workers.spawn("refunds", move |token| run(refunds.clone(), token));
}
