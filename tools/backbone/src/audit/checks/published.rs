//! Events: what happened to an order was said once, in its own region's Kafka and in the other's.
//!
//! Delivery is at least once, so it is distinct event ids that are counted, not records. An event that still waits in an outbox
//! counts as said where it is going to be said: an outage of the other region's Kafka breaks nothing, and the check "settled" names
//! what waits.

use std::collections::{BTreeMap, BTreeSet};

use ids::{EventId, OrderId, Region};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::events::Events;
use crate::audit::sources::orders::{OrderState, Orders};
use crate::audit::sources::payments::{PaymentState, Payments};
use crate::audit::sources::unpublished::{Lane, Unpublished};

/// Event ids named per order and topic.
const LISTED_MAX: usize = 3;

/// Checks the events of each order in both Kafkas, and both for events of no order.
pub fn check(orders: Both<&Orders>, payments: Both<&Payments>, events: Both<&Events>) -> Examined {
    let mut examined = Examined::default();
    for (region, kafka) in events.each() {
        for (name, topic) in &kafka.topics {
            examined.count(topic.distinct(), "events");
            examined.count(topic.records - topic.distinct(), "redeliveries");
            examined.refuse(topic.malformed.total, &topic.malformed.described, &format!("{region} Kafka"));
            for order in
                topic.orders().filter(|order| orders.each().iter().all(|(_, all)| !all.orders.contains_key(order)))
            {
                examined.require(false, || format!("{region} Kafka has a {name} of order {order}, which is not there"));
            }
            if topic.is_truncated {
                examined.cannot_tell(format!("the {region} Kafka has deleted old records of {name}"));
            }
        }
    }
    for (region, orders) in orders.each() {
        let payments = payments.of(region);
        let waiting = Waiting::of(orders.unpublished.iter().chain(&payments.unpublished));
        let refunds = refunds_paid(payments);
        for (id, order) in &orders.orders {
            let is_paid = payments.payments.get(id).is_some_and(|payment| payment.state == PaymentState::Captured);
            let expected = [
                ("order.placed.v1", usize::from(order.state.was_placed())),
                ("order.shipped.v1", usize::from(order.state == OrderState::Shipped)),
                ("order.cancelled.v1", usize::from(order.state == OrderState::Cancelled)),
                ("payment.captured.v1", usize::from(is_paid)),
                ("payment.refunded.v1", refunds.get(id).copied().unwrap_or_default()),
            ];
            for (topic, expected) in expected {
                for fault in faults(region, *id, (topic, expected), events, &waiting) {
                    examined.require(false, || format!("{region} order {id} is {:?}, but {fault}", order.state));
                }
            }
        }
    }
    examined
}

fn refunds_paid(payments: &Payments) -> BTreeMap<OrderId, usize> {
    let mut paid = BTreeMap::new();
    for refund in payments.refunds.values().filter(|refund| refund.paid_minor().is_some()) {
        *paid.entry(refund.order).or_default() += 1;
    }
    paid
}

/// Events in a region's outboxes, by type and order.
struct Waiting<'a>(BTreeMap<(&'a str, OrderId), Vec<(Lane, EventId)>>);

impl<'a> Waiting<'a> {
    fn of(unpublished: impl Iterator<Item = &'a Unpublished>) -> Self {
        let mut by_order = BTreeMap::<_, Vec<_>>::new();
        for waiting in unpublished {
            if let Ok(order) = waiting.aggregate_id.parse() {
                by_order.entry((waiting.event_type.as_str(), order)).or_default().push((waiting.lane, waiting.event));
            }
        }
        Self(by_order)
    }

    fn events(&self, topic: &'a str, order: OrderId) -> &[(Lane, EventId)] {
        self.0.get(&(topic, order)).map(Vec::as_slice).unwrap_or_default()
    }
}

fn faults(
    region: Region,
    order: OrderId,
    (topic, expected): (&'static str, usize),
    events: Both<&Events>,
    waiting: &Waiting<'_>,
) -> Vec<String> {
    let in_kafka = |region| events.of(region).topics.get(topic).into_iter().flat_map(move |topic| topic.of(order));
    let waits = waiting.events(topic, order);
    // To its own Kafka goes what is in the outbox; to the other's also what has only that way left.
    let own = waits.iter().filter(|(lane, _)| *lane == Lane::Outbox).map(|(_, event)| *event);
    let here: BTreeSet<EventId> = in_kafka(region).chain(own).collect();
    let there: BTreeSet<EventId> = in_kafka(region.peer()).chain(waits.iter().map(|(_, event)| *event)).collect();
    let is_truncated = |region| events.of(region).topics.get(topic).is_none_or(|topic| topic.is_truncated);
    let mut faults = Vec::new();
    for (kafka, found) in [(region, &here), (region.peer(), &there)] {
        let may_be_deleted = found.len() < expected && is_truncated(kafka);
        if found.len() != expected && !may_be_deleted {
            faults.push(format!("the {kafka} Kafka has {} {topic} of it, not {expected}{}", found.len(), list(found)));
        }
    }
    if here.len() == there.len() && here != there {
        faults.push(format!("the two Kafkas have different {topic} of it:{}{}", list(&here), list(&there)));
    }
    faults
}

/// The first ids: a loop that says the same thing again and again says it a thousand times.
fn list(events: &BTreeSet<EventId>) -> String {
    let more = if events.len() > LISTED_MAX { " …" } else { "" };
    events.iter().take(LISTED_MAX).map(|event| format!(" {event}")).chain([more.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, sound};
    use super::*;
    use crate::audit::sources::events::Odd;

    fn examine(world: &World) -> Examined {
        check(world.orders.as_ref(), world.payments.as_ref(), world.events.as_ref())
    }

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&examine(&world), named);
    }

    fn pairs<'a>(kafka: &'a mut Events, topic: &str) -> &'a mut Vec<(OrderId, EventId)> {
        kafka.topics.get_mut(topic).unwrap().pairs_mut()
    }

    #[test]
    fn an_event_that_is_missing_in_either_region_is_named() {
        let shipped = sound().shipped;
        for (topic, number) in
            [("order.placed.v1", "0 order.placed.v1"), ("payment.captured.v1", "0 payment.captured.v1")]
        {
            let lose = |kafka: &mut Events| pairs(kafka, topic).retain(|(order, _)| *order != shipped);
            fails(|world| lose(&mut world.events.east), &[&shipped.to_string(), "the east Kafka has", number]);
            fails(|world| lose(&mut world.events.west), &[&shipped.to_string(), "the west Kafka has", number]);
        }
    }

    #[test]
    fn an_event_said_twice_under_two_ids_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| {
            let said = pairs(&mut world.events.east, "order.placed.v1");
            said.push((placed, EventId::generate()));
            said.sort_unstable();
        };
        fails(doctor, &["east order", &placed.to_string(), "has 2 order.placed.v1"]);
    }

    #[test]
    fn another_event_in_the_other_region_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| {
            let said = pairs(&mut world.events.west, "order.placed.v1");
            said.iter_mut().filter(|(order, _)| *order == placed).for_each(|(_, event)| *event = EventId::generate());
        };
        fails(doctor, &[&placed.to_string(), "different order.placed.v1"]);
    }

    #[test]
    fn an_event_of_what_did_not_happen_is_named() {
        let World { rejected, placed, .. } = sound();
        let say = |world: &mut World, topic, order| {
            for region in Region::ALL {
                let said = pairs(world.events.of_mut(region), topic);
                said.push((order, EventId::generate()));
                said.sort_unstable();
            }
        };
        fails(|world| say(world, "order.placed.v1", rejected), &[&rejected.to_string(), "has 1 order.placed.v1"]);
        fails(|world| say(world, "order.shipped.v1", placed), &[&placed.to_string(), "has 1 order.shipped.v1"]);
        let stranger = OrderId::generate();
        fails(|world| say(world, "order.shipped.v1", stranger), &[&stranger.to_string(), "which is not there"]);
    }

    #[test]
    fn a_record_that_is_no_event_is_named() {
        let described = vec!["order.placed.v1 partition 0 offset 7: its key is no order id".to_owned()];
        let doctor = |world: &mut World| {
            world.events.west.topics.get_mut("order.placed.v1").unwrap().malformed = Odd { total: 1, described };
        };
        fails(doctor, &["west Kafka", "offset 7", "no order id"]);
    }

    #[test]
    fn an_event_on_its_way_is_not_missing() {
        let mut world = sound();
        let shipped = world.shipped;
        let said = pairs(&mut world.events.west, "order.shipped.v1");
        let (_, event) = said.pop().unwrap();
        let (lane, event_type) = (Lane::OutboxPeer, "order.shipped.v1".to_owned());
        world.orders.east.unpublished.push(Unpublished { lane, event, event_type, aggregate_id: shipped.to_string() });
        assert!(examine(&world).offenders().is_empty(), "{:?}", examine(&world));
    }

    #[test]
    fn what_the_broker_has_deleted_is_not_called_missing() {
        let mut world = sound();
        pairs(&mut world.events.east, "order.placed.v1").clear();
        world.events.east.topics.get_mut("order.placed.v1").unwrap().is_truncated = true;
        let examined = examine(&world);
        assert!(examined.offenders().is_empty(), "{examined:?}");
        assert!(format!("{examined:?}").contains("deleted old records"));
    }
}
