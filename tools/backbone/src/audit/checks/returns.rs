//! Returns and refunds: no more comes back than went out, and order and payment agree on every one.

use std::collections::BTreeMap;

use ids::{OrderId, RefundId, Region};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::orders::{Order, OrderState, Orders, Return, ReturnState};
use crate::audit::sources::payments::{PaymentState, Payments, Refund, RefundState};

/// Checks every return against its order and its refund, and every payment against its refunds.
pub fn check(orders: Both<&Orders>, payments: Both<&Payments>) -> Examined {
    let mut examined = Examined::default();
    for (region, orders) in orders.each() {
        let payments = payments.of(region);
        examined.count(orders.returns.len(), "returns");
        let mut returned = BTreeMap::<OrderId, Returned<'_>>::new();
        for (id, taken_back) in &orders.returns {
            returned.entry(taken_back.order).or_default().add(taken_back);
            refund_of(&mut examined, region, *id, taken_back, payments);
            paid_of(&mut examined, region, *id, taken_back, payments);
            worth_of(&mut examined, region, *id, taken_back, orders.orders.get(&taken_back.order));
        }
        for (id, order) in &orders.orders {
            let returned = returned.remove(id).unwrap_or_default();
            of_order(&mut examined, region, *id, order, &returned);
        }
        of_payments(&mut examined, region, orders, payments);
    }
    examined
}

/// What was returned of one order.
#[derive(Default)]
struct Returned<'a> {
    units: BTreeMap<&'a str, i128>,
    /// What was paid for them, where the returns say it by offer.
    worth_minor: BTreeMap<&'a str, i128>,
    refunded_minor: i128,
}

impl<'a> Returned<'a> {
    fn add(&mut self, taken_back: &'a Return) {
        for (offer, units) in &taken_back.lines {
            *self.units.entry(offer).or_default() += i128::from(*units);
        }
        for (offer, amount) in &taken_back.line_amounts_minor {
            *self.worth_minor.entry(offer).or_default() += i128::from(*amount);
        }
        if taken_back.state == ReturnState::Refunded {
            self.refunded_minor += i128::from(taken_back.paid_minor.unwrap_or_default());
        }
    }
}

/// The refund of a return is of the same order and amount, and paid exactly when the return says so.
fn refund_of(examined: &mut Examined, region: Region, id: RefundId, taken_back: &Return, payments: &Payments) {
    let refund = payments.refunds.get(&id);
    let state = refund.map(|refund| refund.state);
    let fits = match taken_back.state {
        // It may be paid already: the news is on its way.
        ReturnState::Requested => true,
        // Or a person has seen to it, and nothing went through payment.
        ReturnState::Refunded => {
            state == Some(RefundState::Succeeded)
                || (taken_back.paid_minor == Some(0) && matches!(state, None | Some(RefundState::Cancelled)))
        }
    };
    examined.require(fits, || format!("{region} return {id} is Refunded, its refund is {state:?}"));
    let theirs = refund.map(|refund| (refund.order, refund.amount_minor + refund.unpaid_minor));
    let ours = (taken_back.order, taken_back.amount_minor);
    examined.require(theirs.is_none_or(|theirs| theirs == ours), || {
        format!("{region} return {id} is of {} for {}, its refund of {theirs:?}", ours.1, ours.0)
    });
}

/// What the return says was paid back is what its refund paid.
fn paid_of(examined: &mut Examined, region: Region, id: RefundId, taken_back: &Return, payments: &Payments) {
    let Some(paid) = taken_back.paid_minor else { return };
    let refund = payments.refunds.get(&id).and_then(Refund::paid_minor);
    examined.require(refund.unwrap_or_default() == paid, || {
        format!("{region} return {id} says that {paid} was paid back, its refund {refund:?}")
    });
}

fn worth_of(examined: &mut Examined, region: Region, id: RefundId, taken_back: &Return, order: Option<&Order>) {
    let price = |offer: &str| {
        order?.lines.iter().find(|line| line.offer == offer).map(|line| i128::from(line.unit_price_minor))
    };
    let worth = |(offer, units): &(String, i64)| match taken_back.line_amounts_minor.get(offer) {
        Some(amount) => Some(i128::from(*amount)),
        None => Some(price(offer)? * i128::from(*units)),
    };
    let worth: Option<i128> = taken_back.lines.iter().map(worth).sum();
    examined.require(worth == Some(taken_back.amount_minor.into()), || {
        format!("{region} return {id} pays {} for units worth {worth:?}", taken_back.amount_minor)
    });
}

fn of_order(examined: &mut Examined, region: Region, id: OrderId, order: &Order, returned: &Returned<'_>) {
    for line in &order.lines {
        // The dearest come back first, so what came back in all costs what those cost, whatever its parts.
        let paid = returned.worth_minor.get(line.offer.as_str()).copied();
        let worth = line.worth_of_first_minor(line.returned_quantity.into());
        examined.require(line.prices.is_empty() || paid.unwrap_or_default() == worth, || {
            format!(
                "{region} order {id}: {} of {} came back and cost {worth}, its returns pay {paid:?}",
                line.returned_quantity, line.offer
            )
        });
        let units = returned.units.get(line.offer.as_str()).copied().unwrap_or_default();
        let (counted, ordered) = (line.returned_quantity, line.quantity);
        examined.require(units == i128::from(counted) && counted <= ordered, || {
            format!(
                "{region} order {id}: of {ordered} {} {counted} are marked returned, its returns hold {units}",
                line.offer
            )
        });
    }
    examined.require(returned.refunded_minor == i128::from(order.refunded_minor), || {
        format!("{region} order {id} refunded {}, its returns {}", order.refunded_minor, returned.refunded_minor)
    });
    let is_paid_back = order.refunded_minor > 0 || !returned.units.is_empty();
    examined.require(!is_paid_back || order.state == OrderState::Shipped, || {
        format!("{region} order {id} is {:?} and has returns", order.state)
    });
}

/// A payment counts all its refunds, none is above what was captured, and each belongs to a return.
fn of_payments(examined: &mut Examined, region: Region, orders: &Orders, payments: &Payments) {
    examined.count(payments.refunds.len(), "refunds");
    let mut refunded = BTreeMap::<OrderId, i128>::new();
    for (id, refund) in &payments.refunds {
        if refund.state != RefundState::Cancelled {
            *refunded.entry(refund.order).or_default() += i128::from(refund.amount_minor);
        }
        examined.require(orders.returns.contains_key(id), || format!("{region} refund {id} is of no return"));
    }
    for (id, payment) in &payments.payments {
        let sum = refunded.remove(id).unwrap_or_default();
        examined.require(sum == i128::from(payment.refunded_minor), || {
            format!("{region} payment {id} counts {} refunded, its refunds are {sum}", payment.refunded_minor)
        });
        let captured = payment.amount_minor.filter(|_| payment.state == PaymentState::Captured);
        let captured = captured.map_or(0, i128::from);
        examined.require(sum <= captured, || format!("{region} payment {id} captured {captured} and refunds {sum}"));
    }
    for id in refunded.keys() {
        examined.require(false, || format!("{region} order {id} has refunds and no payment"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, sound};
    use super::*;

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&check(world.orders.as_ref(), world.payments.as_ref()), named);
    }

    #[test]
    fn more_units_returned_than_ordered_are_named() {
        let World { shipped, refund, .. } = sound();
        let doctor = |world: &mut World| {
            world.orders.east.returns.get_mut(&refund).unwrap().lines[0].1 = 2;
            let order = world.orders.east.orders.get_mut(&shipped).unwrap();
            order.lines.iter_mut().filter(|line| line.offer == "cup").for_each(|line| line.returned_quantity = 2);
        };
        fails(doctor, &[&shipped.to_string(), "of 1 cup 2 are marked returned"]);
        fails(doctor, &[&refund.to_string(), "pays 300 for units worth Some(600)"]);
    }

    #[test]
    fn a_return_that_pays_for_other_units_than_the_dearest_is_named() {
        let World { shipped, refund, .. } = sound();
        let doctor = |world: &mut World, amount: i64| {
            world.orders.east.returns.get_mut(&refund).unwrap().line_amounts_minor.insert("cup".to_owned(), amount);
            let order = world.orders.east.orders.get_mut(&shipped).unwrap();
            let cup = order.lines.iter_mut().find(|line| line.offer == "cup").unwrap();
            cup.prices = vec![(400, 1), (300, 1)];
        };
        fails(|world| doctor(world, 300), &["1 of cup came back and cost 400, its returns pay Some(300)"]);
        fails(|world| doctor(world, 400), &["pays 300 for units worth Some(400)"]);
    }

    #[test]
    fn an_order_that_miscounts_its_refunds_is_named() {
        let shipped = sound().shipped;
        let doctor = |world: &mut World| world.orders.east.orders.get_mut(&shipped).unwrap().refunded_minor = 600;
        fails(doctor, &[&shipped.to_string(), "refunded 600, its returns 300"]);
    }

    #[test]
    fn a_return_marked_refunded_without_a_refund_is_named() {
        let refund = sound().refund;
        fails(|world| world.payments.east.refunds.clear(), &[&refund.to_string(), "its refund is None"]);
        let doctor = |world: &mut World| world.payments.east.refunds.get_mut(&refund).unwrap().amount_minor = 299;
        fails(doctor, &[&refund.to_string(), "is of 300"]);
    }

    #[test]
    fn refunds_above_what_was_captured_are_named() {
        let World { shipped, refund, .. } = sound();
        let doctor = |world: &mut World| {
            let again = world.payments.east.refunds[&refund].clone();
            for _ in 0..4 {
                world.payments.east.refunds.insert(RefundId::generate(), again.clone());
            }
            world.payments.east.payments.get_mut(&shipped).unwrap().refunded_minor = 1500;
        };
        fails(doctor, &[&shipped.to_string(), "captured 1300 and refunds 1500"]);
        fails(doctor, &["is of no return"]);
    }

    #[test]
    fn a_payment_that_miscounts_its_refunds_is_named() {
        let shipped = sound().shipped;
        let doctor = |world: &mut World| world.payments.east.payments.get_mut(&shipped).unwrap().refunded_minor = 0;
        fails(doctor, &[&shipped.to_string(), "counts 0 refunded, its refunds are 300"]);
    }

    #[test]
    fn a_return_of_what_never_shipped_is_named() {
        let shipped = sound().shipped;
        let doctor = |world: &mut World| world.orders.east.orders.get_mut(&shipped).unwrap().state = OrderState::Placed;
        fails(doctor, &[&shipped.to_string(), "is Placed and has returns"]);
    }
}
