//! As the audit's `orders`, `reservations` and `carts`: each order has exactly the stock, the money and the cut that its state calls
//! for, and those that came to nothing hold neither.

use ids::OrderId;
use inventory::domain::State as Reservation;
use order::domain::OrderState;
use payment::domain::State as Payment;

use super::{Fault, require};
use crate::Verdict;
use crate::stores::carts::CheckoutState;
use crate::world::{RegionId, World};

/// In between: what is under way may be behind, but never ahead.
pub fn check(world: &World, region: RegionId, id: OrderId) -> Result<(), Fault> {
    let here = &world.regions[region];
    let reservation = here.stock.reservations.get(&id).map(|it| it.stored.state);
    let payment = here.payments.rows.get(&id).map(|row| &row.state);
    let checkout = here.carts.checkouts.get(&id).map(|it| it.state);
    let Some(row) = here.orders.rows.get(&id) else {
        let holds_stock = matches!(reservation, Some(Reservation::Reserved | Reservation::Committed));
        require(!holds_stock, Verdict::Orders, || format!("is not there, its reservation is {reservation:?}"))?;
        return require(payment.is_none(), Verdict::Orders, || format!("is not there, its payment is {payment:?}"));
    };
    let state = &row.order.state;
    let has_stock = match state {
        OrderState::Pending | OrderState::Compensating(_) => reservation != Some(Reservation::Committed),
        // Its event may still be on its way.
        OrderState::Placed | OrderState::Shipped => {
            matches!(reservation, Some(Reservation::Reserved | Reservation::Committed))
        }
        OrderState::Rejected(_) => matches!(reservation, None | Some(Reservation::Released(_))),
        OrderState::Cancelled => reservation.is_some(),
    };
    require(has_stock, Verdict::Orders, || format!("is {}, its reservation is {reservation:?}", state.name()))?;
    let is_taken = matches!(payment, Some(Payment::Capturing { .. } | Payment::Captured { .. }));
    let has_money = match state {
        OrderState::Pending | OrderState::Compensating(_) => !is_taken,
        OrderState::Placed => matches!(payment, Some(Payment::Authorised { .. })),
        OrderState::Shipped if row.order.captured => matches!(payment, Some(Payment::Captured { .. })),
        OrderState::Shipped => is_taken || matches!(payment, Some(Payment::Authorised { .. })),
        OrderState::Cancelled if row.drive.after.is_some() => payment.is_some() && !is_taken,
        OrderState::Cancelled | OrderState::Rejected(_) => {
            matches!(payment, None | Some(Payment::Declined { .. } | Payment::Voided))
        }
    };
    require(has_money, Verdict::Orders, || format!("is {}, its payment is {payment:?}", state.name()))?;
    let is_put_back = checkout == Some(CheckoutState::Abandoned);
    let was_placed = matches!(state, OrderState::Placed | OrderState::Shipped | OrderState::Cancelled);
    require(!(was_placed && is_put_back), Verdict::Orders, || format!("is {}, its cut was put back", state.name()))?;
    let in_flight = here.payments.rows.get(&id).map(|row| (row.due_at.is_some(), row.state.step().is_some()));
    require(in_flight.is_none_or(|(is_due, has_step)| is_due == has_step), Verdict::Illegal, || {
        format!("its payment is {payment:?} and due: {in_flight:?}")
    })?;
    require(!row.order.captured || *state == OrderState::Shipped, Verdict::Orders, || {
        format!("is {} and marked captured", state.name())
    })
}

/// Nothing is under way any more.
pub fn at_rest(world: &World, region: RegionId, id: OrderId) -> Result<(), Fault> {
    let here = &world.regions[region];
    let Some(row) = here.orders.rows.get(&id) else { return Ok(()) };
    let reservation = here.stock.reservations.get(&id).map(|it| it.stored.state);
    let checkout = here.carts.checkouts.get(&id).map(|it| it.state);
    let is_released = matches!(reservation, None | Some(Reservation::Released(_)));
    let (fits, cut) = match row.order.state {
        OrderState::Shipped => (reservation == Some(Reservation::Committed), CheckoutState::Ordered),
        OrderState::Cancelled => (is_released, CheckoutState::Ordered),
        OrderState::Rejected(_) => (is_released, CheckoutState::Abandoned),
        OrderState::Pending | OrderState::Compensating(_) | OrderState::Placed => (false, CheckoutState::Undecided),
    };
    let name = row.order.state.name();
    require(fits, Verdict::Orders, || format!("is {name}, its reservation is {reservation:?}"))?;
    require(checkout == Some(cut), Verdict::Orders, || format!("is {name}, its cut is {checkout:?}"))
}
