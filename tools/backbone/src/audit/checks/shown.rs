//! Charged as shown: an order's lines, units and total are those of its checkout, which are what its shopper saw.
//!
//! Units are compared with the checkout's own row, for ever; prices with the answer that the checkout gave, as long as the log of carts
//! holds it.

use std::collections::BTreeMap;

use ids::{OrderId, Region};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::carts::{Carts, Checkout, Shown};
use crate::audit::sources::orders::{Order, Orders};

/// Checks every order against the checkout that it was made of, in both regions' carts.
pub fn check(orders: Both<&Orders>, carts: Both<&Carts>) -> Examined {
    let mut examined = Examined::default();
    for (region, orders) in orders.each() {
        examined.count(orders.orders.len(), "orders");
        for (id, order) in &orders.orders {
            for (kept_in, carts) in carts.each() {
                if let Some(checkout) = carts.checkouts.get(id) {
                    compare(&mut examined, region, *id, order, (kept_in, checkout));
                }
            }
        }
    }
    examined
}

fn compare(examined: &mut Examined, region: Region, id: OrderId, order: &Order, checkout: (Region, &Checkout)) {
    let (kept_in, checkout) = checkout;
    let mut require = |fault: Result<(), String>| {
        examined.require(fault.is_ok(), || {
            format!(
                "{region} order {id} is not what its checkout in {kept_in} showed: {}",
                fault.err().unwrap_or_default()
            )
        });
    };
    // A row of before checkouts kept their units has none, and every checkout has some.
    if !checkout.ordered.is_empty() {
        require(units(order, &checkout.ordered));
    }
    match &checkout.shown {
        Some(Ok(shown)) => {
            require(money(order, shown));
            examined.count(1, "answers of checkouts");
        }
        Some(Err(why)) => require(Err(format!("the answer of the checkout means nothing: {why}"))),
        None => {}
    }
}

fn units(order: &Order, cut: &BTreeMap<String, i64>) -> Result<(), String> {
    let ordered: BTreeMap<&str, i64> = order.lines.iter().map(|line| (line.offer.as_str(), line.quantity)).collect();
    let cut: BTreeMap<&str, i64> = cut.iter().map(|(offer, units)| (offer.as_str(), *units)).collect();
    let differing = ordered.keys().chain(cut.keys()).find(|offer| ordered.get(*offer) != cut.get(*offer));
    differing.map_or(Ok(()), |offer| {
        let units = |of: &BTreeMap<&str, i64>| of.get(offer).copied().unwrap_or_default();
        Err(format!("{} of {offer} are ordered and {} were cut", units(&ordered), units(&cut)))
    })
}

fn money(order: &Order, shown: &[Shown]) -> Result<(), String> {
    if let Some(line) = shown.iter().find(|line| line.currency != order.currency) {
        return Err(format!("{} was shown in {} and is ordered in {}", line.offer, line.currency, order.currency));
    }
    let total: i128 = shown.iter().map(|line| line.amount_minor).sum();
    if total != i128::from(order.total_minor) {
        return Err(format!("{total} {} was shown and {} is charged", order.currency, order.total_minor));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, sound};
    use super::*;

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&check(world.orders.as_ref(), world.carts.as_ref()), named);
    }

    fn order(world: &mut World, id: OrderId) -> &mut Order {
        world.orders.east.orders.get_mut(&id).unwrap()
    }

    #[test]
    fn an_order_of_more_fewer_or_other_units_than_were_cut_is_named() {
        let shipped = sound().shipped;
        let name = shipped.to_string();
        fails(|world| order(world, shipped).lines[0].quantity = 3, &[&name, "3 of teapot are ordered and 2 were cut"]);
        fails(|world| drop(order(world, shipped).lines.pop()), &[&name, "0 of cup are ordered and 1 were cut"]);
        let replica = |world: &mut World| {
            world.carts.west.checkouts.get_mut(&shipped).unwrap().ordered.insert("vase".to_owned(), 1);
        };
        fails(replica, &[&name, "checkout in west", "0 of vase are ordered and 1 were cut"]);
    }

    #[test]
    fn an_order_at_another_price_than_was_shown_is_named() {
        let shipped = sound().shipped;
        let name = shipped.to_string();
        let dearer = |world: &mut World| {
            let order = order(world, shipped);
            order.lines[0].unit_price_minor += 1;
            order.total_minor += 2;
        };
        fails(dearer, &[&name, "1300 GBP was shown and 1302 is charged"]);
        fails(|world| order(world, shipped).currency = "JPY".to_owned(), &[&name, "in GBP and is ordered in JPY"]);
        let broken = |world: &mut World| {
            world.carts.east.checkouts.get_mut(&shipped).unwrap().shown = Some(Err("no such field".to_owned()));
        };
        fails(broken, &[&name, "means nothing: no such field"]);
    }
}
