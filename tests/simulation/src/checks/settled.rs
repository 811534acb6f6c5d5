//! As the audit's `settled`: nothing is in flight any more.

use inventory::domain::State;
use order::domain::{OrderState, ReturnState};
use payment::store::RefundState;

use crate::consumer::Consumer;
use crate::services;
use crate::stores::carts::CheckoutState;
use crate::world::{Region, RegionId, World};

const CONSUMERS: [Consumer; 5] = [
    services::order::FULFILMENT,
    services::order::PAYMENT_EVENTS,
    services::payment::SHIPPED_ORDERS,
    services::inventory::ORDER_EVENTS,
    services::cart::PLACED_ORDERS,
];

/// What is still in flight, if anything.
pub fn unsettled(world: &World) -> Option<String> {
    if world.told.shopping > 0 {
        return Some(format!("{} shoppers are not done", world.told.shopping));
    }
    let mut regions = world.regions.iter().enumerate();
    regions.find_map(|(id, region)| {
        of_orders(region, world.regions.len() > 1)
            .or_else(|| of_payments(region))
            .or_else(|| of_stock(region))
            .or_else(|| of_events(id, region))
    })
}

fn of_orders(region: &Region, is_peered: bool) -> Option<String> {
    let order = region.orders.rows.iter().find(|(_, row)| match row.order.state {
        OrderState::Pending | OrderState::Compensating(_) | OrderState::Placed => true,
        OrderState::Shipped => !row.order.captured,
        OrderState::Cancelled => row.drive.after.is_some(),
        OrderState::Rejected(_) => false,
    });
    let order =
        order.map(|(id, row)| format!("order {id} is {}, captured: {}", row.order.state.name(), row.order.captured));
    let open = || region.orders.returns.iter().find(|(_, row)| row.state == ReturnState::Requested);
    let untold = || region.orders.rows.iter().find(|(_, row)| row.tell_home_after.is_some());
    let superseded = || region.orders.superseded.iter().find(|(_, it)| it.next_look.is_some());
    let unshipped = region.carts.log.len() - region.carts.acknowledged;
    let cut = || region.carts.checkouts.iter().find(|(_, checkout)| checkout.state == CheckoutState::Undecided);
    order
        .or_else(|| open().map(|(id, _)| format!("return {id} is not refunded")))
        .or_else(|| cut().map(|(id, _)| format!("checkout of {id} is undecided")))
        .or_else(|| untold().map(|(id, _)| format!("the home of {id}'s owner is not told of it")))
        .or_else(|| superseded().map(|(id, _)| format!("superseded order {id} is not undone")))
        .or_else(|| (is_peered && unshipped > 0).then(|| format!("{unshipped} checkouts are not in the other region")))
}

fn of_payments(region: &Region) -> Option<String> {
    let payment = region.payments.rows.iter().find(|(_, row)| row.state.step().is_some());
    let refund = || region.payments.refunds.iter().find(|(_, row)| row.state == RefundState::Pending);
    payment
        .map(|(id, row)| format!("payment {id} is {:?}", row.state))
        .or_else(|| refund().map(|(id, _)| format!("refund {id} is pending")))
}

fn of_stock(region: &Region) -> Option<String> {
    let reservation = region.stock.reservations.iter().find(|(_, it)| it.stored.state == State::Reserved);
    let transfer = || region.stock.transfers_in.iter().find(|(_, it)| it.is_pending);
    reservation
        .map(|(id, _)| format!("reservation {id} is open"))
        .or_else(|| transfer().map(|(id, _)| format!("transfer {id} is pending")))
}

/// Everything said is published, and everything published has had its effect.
fn of_events(id: RegionId, region: &Region) -> Option<String> {
    let waiting: usize = [&region.order_spine, &region.payment_spine]
        .iter()
        .map(|spine| spine.outbox.len() + spine.outbox_peer.len())
        .sum();
    if waiting > 0 {
        return Some(format!("{waiting} events wait in the outboxes of region {id}"));
    }
    CONSUMERS.iter().find_map(|consumer| {
        let seen = region.groups.get(consumer.group);
        let log = consumer.topics.iter().flat_map(|topic| region.kafka.log(*topic)).filter(|event| event.home == id);
        let mut missed = log.filter(|event| seen.is_none_or(|group| !group.inbox.contains(&event.id)));
        missed.next().map(|event| format!("{} has not applied {:?} of {}", consumer.group, event.topic, event.order))
    })
}
