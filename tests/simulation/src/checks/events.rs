//! As the audit's `events`: what happened to an order was said once, in its own region's Kafka and in the other's. Delivery is at least
//! once, so distinct events are counted; what still waits in an outbox counts as said where it is going to be said.

use std::collections::BTreeSet;

use ids::OrderId;
use order::domain::OrderState;
use payment::domain::State;
use payment::store::RefundState;

use super::{Fault, require};
use crate::Verdict;
use crate::spine::{Event, Topic};
use crate::world::{RegionId, World};

pub fn check(world: &World, region: RegionId, id: OrderId) -> Result<(), Fault> {
    let here = &world.regions[region];
    let state = here.orders.rows.get(&id).map(|row| &row.order.state);
    let is_captured = here.payments.rows.get(&id).is_some_and(|row| matches!(row.state, State::Captured { .. }));
    let was_placed = matches!(state, Some(OrderState::Placed | OrderState::Shipped | OrderState::Cancelled));
    let refunds =
        here.payments.refunds.values().filter(|row| row.order == id && row.state == RefundState::Succeeded).count();
    for topic in Topic::ALL {
        let expected = match topic {
            Topic::OrderPlaced => usize::from(was_placed),
            Topic::OrderCancelled => usize::from(state == Some(&OrderState::Cancelled)),
            Topic::OrderShipped => usize::from(state == Some(&OrderState::Shipped)),
            Topic::PaymentCaptured => usize::from(is_captured),
            Topic::PaymentRefunded => refunds,
        };
        for kafka in 0..world.regions.len() {
            let found = said(world, (region, kafka), topic, id);
            require(found.len() == expected, Verdict::Events, || {
                format!("is {state:?}, Kafka {kafka} has {} {topic:?} of it, not {expected}: {found:?}", found.len())
            })?;
        }
    }
    Ok(())
}

/// The distinct events in a region's Kafka, and those in the home's outboxes that are going there.
fn said(world: &World, (home, kafka): (RegionId, RegionId), topic: Topic, id: OrderId) -> BTreeSet<u64> {
    let here = &world.regions[home];
    let mut found = world.regions[kafka].kafka.said.get(&(topic, id)).cloned().unwrap_or_default();
    let is_it = |event: &&Event| event.topic == topic && event.order == id;
    for spine in [&here.order_spine, &here.payment_spine] {
        found.extend(spine.outbox.values().filter(is_it).map(|event| event.id));
        if kafka != home {
            found.extend(spine.outbox_peer.values().filter(is_it).map(|event| event.id));
        }
    }
    found
}
