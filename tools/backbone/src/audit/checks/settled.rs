//! Settled: nothing waits in an outbox, and nothing that the system promised to do is left to do.
//!
//! The audit waits for that before it reads (see [`crate::audit::activity`]). What is named here did not settle in time: it is
//! stuck, or the wait was too short.

use ids::{OrderId, Region};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::carts::{Carts, CheckoutState};
use crate::audit::sources::inventory::{Inventory, ReservationState};
use crate::audit::sources::orders::{OrderState, Orders, ReturnState};
use crate::audit::sources::payments::{PaymentState, Payments, RefundState};
use crate::audit::sources::unpublished::Unpublished;

/// What it looks at.
pub struct Input<'a> {
    pub orders: Both<&'a Orders>,
    pub payments: Both<&'a Payments>,
    pub inventory: Both<&'a Inventory>,
    pub carts: Both<&'a Carts>,
}

/// Names what is unpublished or undone in either region.
pub fn check(input: &Input<'_>) -> Examined {
    let mut examined = Examined::default();
    for region in Region::ALL {
        let (orders, payments) = (input.orders.of(region), input.payments.of(region));
        let (stock, carts) = (input.inventory.of(region), input.carts.of(region));
        outbox(&mut examined, region, "order", &orders.unpublished);
        outbox(&mut examined, region, "payment", &payments.unpublished);
        outbox(&mut examined, region, "inventory", &stock.unpublished);
        outbox(&mut examined, region, "cart", &carts.unpublished);
        of_orders(&mut examined, region, orders, payments);
        of_payments(&mut examined, region, payments);
        of_stock(&mut examined, region, stock);
        of_carts(&mut examined, region, orders, carts);
    }
    examined
}

fn outbox(examined: &mut Examined, region: Region, service: &str, unpublished: &[Unpublished]) {
    examined.count(2, "outboxes");
    for Unpublished { lane, event, event_type, aggregate_id } in unpublished {
        examined.require(false, || {
            format!("{region} {service} {}: event {event}, {event_type} of {aggregate_id}", lane.name())
        });
    }
}

/// Whether a person has found that its money will never come in.
fn is_given_up(payments: &Payments, order: &OrderId) -> bool {
    payments.payments.get(order).is_some_and(|payment| payment.state == PaymentState::Uncollected)
}

fn of_orders(examined: &mut Examined, region: Region, orders: &Orders, payments: &Payments) {
    examined.count(orders.orders.len(), "orders");
    for (id, order) in &orders.orders {
        let undone = match order.state {
            OrderState::Pending | OrderState::Compensating => Some("is undecided"),
            OrderState::Placed if order.is_due_to_ship => Some("is due to ship"),
            OrderState::Shipped if !order.captured && !is_given_up(payments, id) => {
                Some("is shipped and not known to be paid")
            }
            OrderState::Cancelled if order.is_driven => Some("is cancelled and its payment not voided"),
            OrderState::Placed | OrderState::Shipped | OrderState::Rejected | OrderState::Cancelled => None,
        };
        examined.require(undone.is_none(), || format!("{region} order {id} {}", undone.unwrap_or_default()));
    }
    examined.count(orders.returns.len(), "returns");
    for (id, taken_back) in &orders.returns {
        let is_done = taken_back.state == ReturnState::Refunded;
        examined.require(is_done, || format!("{region} return {id} of order {} is not refunded", taken_back.order));
    }
}

fn of_payments(examined: &mut Examined, region: Region, payments: &Payments) {
    examined.count(payments.payments.len(), "payments");
    for (id, payment) in &payments.payments {
        examined.require(!payment.state.is_in_flight(), || format!("{region} payment {id} is {:?}", payment.state));
    }
    for (id, refund) in &payments.refunds {
        let is_done = refund.state != RefundState::Pending;
        examined.require(is_done, || format!("{region} refund {id} of order {} is pending", refund.order));
    }
}

fn of_stock(examined: &mut Examined, region: Region, stock: &Inventory) {
    examined.count(stock.reservations.len(), "reservations");
    for (id, reservation) in &stock.reservations {
        let is_open = reservation.state == ReservationState::Reserved;
        examined.require(!is_open, || format!("{region} reservation {id} is open"));
    }
    for (id, transfer) in &stock.transfers_in {
        examined.require(!transfer.is_pending, || format!("{region} transfer {id} is asked for and not credited"));
    }
}

/// A checkout whose order was never stored (its process died before) lives until cart asks for its fate; that is no fault. Those
/// begun in the other region are settled there.
fn of_carts(examined: &mut Examined, region: Region, orders: &Orders, carts: &Carts) {
    let begun_here = || carts.checkouts.iter().filter(|(_, checkout)| checkout.begun_here);
    examined.count(begun_here().count(), "checkouts");
    for (id, checkout) in begun_here().filter(|(_, checkout)| checkout.state == CheckoutState::Undecided) {
        if orders.orders.contains_key(id) || checkout.is_overdue {
            examined.require(false, || format!("{region} checkout of order {id} is undecided"));
        } else {
            examined.count(1, "checkouts without an order that wait for their time-out");
        }
    }
}

#[cfg(test)]
mod tests {
    use ids::{EventId, OrderId};

    use super::super::world::{World, assert_named, sound};
    use super::*;
    use crate::audit::sources::carts::Checkout;
    use crate::audit::sources::payments::PaymentState;
    use crate::audit::sources::unpublished::Lane;

    fn examine(world: &World) -> Examined {
        check(&Input {
            orders: world.orders.as_ref(),
            payments: world.payments.as_ref(),
            inventory: world.inventory.as_ref(),
            carts: world.carts.as_ref(),
        })
    }

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&examine(&world), named);
    }

    #[test]
    fn an_event_left_in_an_outbox_is_named() {
        let event = EventId::generate();
        for (lane, table) in [(Lane::Outbox, "payment outbox:"), (Lane::OutboxPeer, "payment outbox_peer:")] {
            let event_type = "payment.captured.v1".to_owned();
            let left = Unpublished { lane, event, event_type, aggregate_id: "the order".to_owned() };
            fails(|world| world.payments.west.unpublished.push(left), &["west", table, &event.to_string()]);
        }
    }

    #[test]
    fn orders_that_are_not_done_are_named() {
        let World { placed, shipped, cancelled, refund, .. } = sound();
        let east = |world: &mut World, id, state| world.orders.east.orders.get_mut(&id).unwrap().state = state;
        fails(|world| east(world, placed, OrderState::Pending), &[&placed.to_string(), "undecided"]);
        fails(|world| east(world, placed, OrderState::Compensating), &[&placed.to_string(), "undecided"]);
        let doctor = |world: &mut World| world.orders.east.orders.get_mut(&placed).unwrap().is_due_to_ship = true;
        fails(doctor, &[&placed.to_string(), "due to ship"]);
        let doctor = |world: &mut World| world.orders.east.orders.get_mut(&shipped).unwrap().captured = false;
        fails(doctor, &[&shipped.to_string(), "not known to be paid"]);
        let doctor = |world: &mut World| world.orders.west.orders.get_mut(&cancelled).unwrap().is_driven = true;
        fails(doctor, &[&cancelled.to_string(), "not voided"]);
        let doctor =
            |world: &mut World| world.orders.east.returns.get_mut(&refund).unwrap().state = ReturnState::Requested;
        fails(doctor, &[&refund.to_string(), "not refunded"]);
    }

    #[test]
    fn money_in_flight_is_named() {
        let World { shipped, refund, .. } = sound();
        for state in
            [PaymentState::Authorising, PaymentState::Abandoning, PaymentState::Capturing, PaymentState::Voiding]
        {
            let doctor = |world: &mut World| world.payments.east.payments.get_mut(&shipped).unwrap().state = state;
            fails(doctor, &[&shipped.to_string(), &format!("{state:?}")]);
        }
        let doctor =
            |world: &mut World| world.payments.east.refunds.get_mut(&refund).unwrap().state = RefundState::Pending;
        fails(doctor, &[&refund.to_string(), "pending"]);
    }

    #[test]
    fn open_reservations_and_transfers_are_named() {
        let World { placed, transfer, .. } = sound();
        let doctor = |world: &mut World| {
            world.inventory.east.reservations.get_mut(&placed).unwrap().state = ReservationState::Reserved;
        };
        fails(doctor, &[&placed.to_string(), "open"]);
        let doctor =
            |world: &mut World| world.inventory.west.transfers_in.get_mut(&transfer).unwrap().is_pending = true;
        fails(doctor, &[&transfer.to_string(), "not credited"]);
    }

    #[test]
    fn only_a_young_checkout_without_an_order_may_be_undecided() {
        let placed = sound().placed;
        let decide =
            |world: &mut World| world.carts.east.checkouts.get_mut(&placed).unwrap().state = CheckoutState::Undecided;
        fails(decide, &[&placed.to_string(), "undecided"]);
        let order = OrderId::generate();
        let left = |is_overdue| {
            move |world: &mut World| {
                let state = CheckoutState::Undecided;
                let checkout = Checkout { state, is_overdue, ..world.carts.east.checkouts[&placed].clone() };
                world.carts.east.checkouts.insert(order, checkout);
            }
        };
        fails(left(true), &[&order.to_string(), "undecided"]);
        let mut world = sound();
        left(false)(&mut world);
        assert!(examine(&world).offenders().is_empty());
    }

    #[test]
    fn an_undecided_checkout_is_named_where_it_was_begun_and_nowhere_else() {
        let placed = sound().placed;
        let mut world = sound();
        for carts in [&mut world.carts.east, &mut world.carts.west] {
            let checkout = carts.checkouts.get_mut(&placed).unwrap();
            (checkout.state, checkout.is_overdue) = (CheckoutState::Undecided, true);
        }
        assert_eq!(examine(&world).offenders(), [format!("east checkout of order {placed} is undecided")]);
    }
}
