//! Orders: each has exactly the stock and the money that its state calls for, and those that came to nothing hold neither.

use ids::{OrderId, Region};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::inventory::{Inventory, Reservation, ReservationState, Units};
use crate::audit::sources::orders::{Order, OrderLine, OrderState, Orders};
use crate::audit::sources::payments::{Payment, PaymentState, Payments};

/// Checks each order against the reservation and the payment of its own region.
pub fn check(orders: Both<&Orders>, payments: Both<&Payments>, inventory: Both<&Inventory>) -> Examined {
    let mut examined = Examined::default();
    for (region, orders) in orders.each() {
        examined.count(orders.orders.len(), "orders");
        let (payments, stock) = (payments.of(region), inventory.of(region));
        for (id, order) in &orders.orders {
            examined.count(order.lines.len(), "lines");
            let faults = [
                own_faults(region, order),
                stock_faults(order, stock.reservations.get(id)),
                money_faults(order, payments.payments.get(id)),
            ];
            name(&mut examined, region, *id, order, faults.concat());
        }
        for id in payments.payments.keys().filter(|id| !orders.orders.contains_key(id)) {
            examined.require(false, || format!("{region} payment {id} is of no order"));
        }
    }
    examined
}

fn name(examined: &mut Examined, region: Region, id: OrderId, order: &Order, faults: Vec<String>) {
    for fault in faults {
        examined.require(false, || format!("{region} order {id} is {:?}, but {fault}", order.state));
    }
}

fn own_faults(region: Region, order: &Order) -> Vec<String> {
    let mut faults = Vec::new();
    if order.home_region != region.name() {
        faults.push(format!("its home is {}", order.home_region));
    }
    let worth: i128 = order.lines.iter().map(OrderLine::worth_minor).sum();
    if worth != i128::from(order.total_minor) {
        faults.push(format!("its lines are worth {worth}, its total is {}", order.total_minor));
    }
    for line in order.lines.iter().filter(|line| !line.prices.is_empty()) {
        let priced: i128 = line.prices.iter().map(|(_, units)| i128::from(*units)).sum();
        if priced != i128::from(line.quantity) {
            faults.push(format!("of its {} {} {priced} have a price", line.quantity, line.offer));
        }
    }
    if usize::try_from(order.line_count) != Ok(order.lines.len()) {
        faults.push(format!("it has {} lines of {}", order.lines.len(), order.line_count));
    }
    if order.captured && order.state != OrderState::Shipped {
        faults.push("it is marked captured".to_owned());
    }
    faults
}

fn stock_faults(order: &Order, reservation: Option<&Reservation>) -> Vec<String> {
    let state = reservation.map(|reservation| reservation.state);
    let fits = match order.state {
        // The saga is on its way, forward or back.
        OrderState::Pending | OrderState::Compensating => state != Some(ReservationState::Committed),
        OrderState::Placed | OrderState::Shipped => state == Some(ReservationState::Committed),
        OrderState::Rejected | OrderState::Cancelled => matches!(state, None | Some(ReservationState::Released)),
    };
    let mut faults = Vec::new();
    if !fits {
        faults.push(format!("its reservation is {state:?}"));
    }
    if let Some(reservation) = reservation.filter(|reservation| reservation.state != ReservationState::Released) {
        let ordered: Units = order.lines.iter().map(|line| (line.offer.clone(), line.quantity)).collect();
        if ordered != reservation.lines {
            faults.push(differing(&ordered, &reservation.lines));
        }
    }
    faults
}

/// The first offer that was ordered and reserved differently: an order may have 1,500 lines.
fn differing(ordered: &Units, reserved: &Units) -> String {
    let offer = ordered.keys().chain(reserved.keys()).find(|offer| ordered.get(*offer) != reserved.get(*offer));
    let offer = offer.map_or("", String::as_str);
    let units = |of: &Units| of.get(offer).copied().unwrap_or_default();
    format!("{} of {offer} are ordered and {} reserved", units(ordered), units(reserved))
}

fn money_faults(order: &Order, payment: Option<&Payment>) -> Vec<String> {
    let state = payment.map(|payment| payment.state);
    let fits = match order.state {
        OrderState::Pending | OrderState::Compensating => {
            !matches!(state, Some(PaymentState::Capturing | PaymentState::Captured))
        }
        OrderState::Placed => state == Some(PaymentState::Authorised),
        // The capture may still be under way; the check "settled" names it.
        OrderState::Shipped if !order.captured => {
            matches!(
                state,
                // Uncollected: a person has found that the money will never come in.
                Some(
                    PaymentState::Authorised
                        | PaymentState::Capturing
                        | PaymentState::Captured
                        | PaymentState::Uncollected
                )
            )
        }
        OrderState::Shipped => state == Some(PaymentState::Captured),
        // The void of a cancelled order may still be under way, likewise.
        OrderState::Cancelled if order.is_driven => {
            !matches!(state, None | Some(PaymentState::Capturing | PaymentState::Captured))
        }
        OrderState::Rejected | OrderState::Cancelled => {
            matches!(state, None | Some(PaymentState::Declined | PaymentState::Voided))
        }
    };
    let mut faults = Vec::new();
    if !fits {
        faults.push(format!("its payment is {state:?}"));
    }
    // A tombstone has no amount.
    if let Some((amount, currency)) = payment.and_then(|payment| payment.amount_minor.zip(payment.currency.as_deref()))
        && (amount, currency) != (order.total_minor, order.currency.as_str())
    {
        faults.push(format!(
            "it costs {} {} and its payment is of {amount} {currency}",
            order.total_minor, order.currency
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, sound};
    use super::*;

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&check(world.orders.as_ref(), world.payments.as_ref(), world.inventory.as_ref()), named);
    }

    fn reservation(world: &mut World, order: OrderId) -> &mut Reservation {
        world.inventory.east.reservations.get_mut(&order).unwrap()
    }

    fn payment(world: &mut World, order: OrderId) -> &mut Payment {
        world.payments.east.payments.get_mut(&order).unwrap()
    }

    #[test]
    fn an_order_that_stands_without_its_stock_is_named() {
        let World { placed, shipped, .. } = sound();
        fails(
            |world| drop(world.inventory.east.reservations.remove(&placed)),
            &[&placed.to_string(), "reservation is None"],
        );
        let doctor = |world: &mut World| reservation(world, shipped).state = ReservationState::Released;
        fails(doctor, &[&shipped.to_string(), "reservation is Some(Released)"]);
    }

    #[test]
    fn a_reservation_of_other_lines_is_named() {
        let shipped = sound().shipped;
        let doctor = |world: &mut World| *reservation(world, shipped).lines.get_mut("teapot").unwrap() = 1;
        fails(doctor, &[&shipped.to_string(), "2 of teapot are ordered and 1 reserved"]);
    }

    #[test]
    fn an_order_that_stands_without_its_money_is_named() {
        let World { placed, shipped, .. } = sound();
        fails(|world| drop(world.payments.east.payments.remove(&placed)), &[&placed.to_string(), "payment is None"]);
        let doctor = |world: &mut World| payment(world, shipped).state = PaymentState::Voided;
        fails(doctor, &[&shipped.to_string(), "payment is Some(Voided)"]);
        let doctor = |world: &mut World| payment(world, placed).amount_minor = Some(301);
        fails(doctor, &[&placed.to_string(), "it costs 300 GBP and its payment is of 301 GBP"]);
    }

    #[test]
    fn money_taken_before_shipping_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| payment(world, placed).state = PaymentState::Captured;
        fails(doctor, &[&placed.to_string(), "payment is Some(Captured)"]);
    }

    #[test]
    fn what_came_to_nothing_and_still_holds_something_is_named() {
        let World { cancelled, rejected, .. } = sound();
        let doctor = |world: &mut World| {
            world.inventory.west.reservations.get_mut(&cancelled).unwrap().state = ReservationState::Reserved;
        };
        fails(doctor, &["west order", &cancelled.to_string(), "reservation is Some(Reserved)"]);
        for order in [cancelled, rejected] {
            let doctor = |world: &mut World| {
                world.payments.west.payments.get_mut(&order).unwrap().state = PaymentState::Authorised;
            };
            fails(doctor, &[&order.to_string(), "payment is Some(Authorised)"]);
        }
    }

    #[test]
    fn an_order_that_contradicts_itself_is_named() {
        let placed = sound().placed;
        let order =
            |world: &mut World, doctor: fn(&mut Order)| doctor(world.orders.east.orders.get_mut(&placed).unwrap());
        fails(|world| order(world, |order| order.total_minor += 1), &["its lines are worth 300, its total is 301"]);
        fails(|world| order(world, |order| order.lines.clear()), &["it has 0 lines of 1"]);
        fails(|world| order(world, |order| order.captured = true), &["marked captured"]);
        fails(|world| order(world, |order| "west".clone_into(&mut order.home_region)), &["its home is west"]);
    }

    #[test]
    fn an_order_whose_units_have_several_prices_is_worth_all_of_them() {
        let placed = sound().placed;
        let doctor = |world: &mut World, prices: &[(i64, i64)]| {
            let line = &mut world.orders.east.orders.get_mut(&placed).unwrap().lines[0];
            line.prices = prices.to_vec();
        };
        fails(|world| doctor(world, &[(200, 1), (150, 1)]), &["its lines are worth 200, its total is 300"]);
        fails(|world| doctor(world, &[(200, 1), (150, 1)]), &["have a price"]);
    }

    #[test]
    fn a_payment_of_no_order_is_named() {
        let placed = sound().placed;
        fails(
            |world| drop(world.orders.east.orders.remove(&placed)),
            &["east payment", &placed.to_string(), "no order"],
        );
    }
}
