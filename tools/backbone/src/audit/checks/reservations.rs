//! Reservations: each that holds units belongs to an order that may have them.

use ids::Region;

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::inventory::{Inventory, Reservation, ReservationState};
use crate::audit::sources::orders::{OrderState, Orders};

/// Checks every reservation of both regions.
pub fn check(orders: Both<&Orders>, inventory: Both<&Inventory>) -> Examined {
    let mut examined = Examined::default();
    for (region, stock) in inventory.each() {
        let orders = &orders.of(region).orders;
        examined.count(stock.reservations.len(), "reservations");
        for (id, reservation) in &stock.reservations {
            let order = orders.get(id).map(|order| order.state);
            examined.require(may_hold(reservation.state, order), || {
                let order = order.map_or("not there".to_owned(), |state| format!("{state:?}"));
                format!("{region} reservation {id} is {:?}, its order is {order}", reservation.state)
            });
            has_lines(&mut examined, region, id, reservation);
        }
        for order in &stock.stray_lines {
            examined.require(false, || format!("{region} reservation lines of order {order} have no reservation"));
        }
    }
    examined
}

const fn may_hold(reservation: ReservationState, order: Option<OrderState>) -> bool {
    match reservation {
        ReservationState::Released => true,
        // The row of the order is committed before its units are asked for, so one without an order is an orphan.
        ReservationState::Reserved => matches!(
            order,
            Some(OrderState::Pending | OrderState::Compensating | OrderState::Placed | OrderState::Shipped)
        ),
        ReservationState::Committed => matches!(order, Some(OrderState::Placed | OrderState::Shipped)),
    }
}

/// A tombstone has no lines; what holds units has.
fn has_lines(examined: &mut Examined, region: Region, id: &ids::OrderId, reservation: &Reservation) {
    let is_empty_handed = reservation.state != ReservationState::Released && reservation.lines.is_empty();
    examined
        .require(!is_empty_handed, || format!("{region} reservation {id} is {:?} without lines", reservation.state));
}

#[cfg(test)]
mod tests {
    use ids::OrderId;

    use super::super::world::{World, assert_named, sound};
    use super::*;

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&check(world.orders.as_ref(), world.inventory.as_ref()), named);
    }

    #[test]
    fn an_orphan_is_named() {
        let order = OrderId::generate();
        let orphan = Reservation { state: ReservationState::Reserved, lines: [("cup".to_owned(), 1)].into() };
        let doctor = |world: &mut World| drop(world.inventory.west.reservations.insert(order, orphan));
        fails(doctor, &["west reservation", &order.to_string(), "its order is not there"]);
        fails(|world| world.inventory.west.stray_lines = [order].into(), &[&order.to_string(), "no reservation"]);
    }

    #[test]
    fn units_held_for_an_order_that_ended_are_named() {
        let World { cancelled, rejected, .. } = sound();
        for (order, state) in [(cancelled, ReservationState::Committed), (rejected, ReservationState::Reserved)] {
            let held = Reservation { state, lines: [("teapot".to_owned(), 1)].into() };
            fails(|world| drop(world.inventory.west.reservations.insert(order, held)), &[&order.to_string()]);
        }
    }

    #[test]
    fn a_reservation_that_lost_its_lines_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| world.inventory.east.reservations.get_mut(&placed).unwrap().lines.clear();
        fails(doctor, &[&placed.to_string(), "without lines"]);
    }
}
