//! One home: an order is in one region's stores alone and is charged through that region's account, and one request is one order.
//!
//! The same customer and key are one intention. While the regions cannot talk each may make an order of it; afterwards one stands, and the
//! other is cancelled or taken back.

use std::collections::BTreeMap;

use ids::{CustomerId, OrderId, Region};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::inventory::Inventory;
use crate::audit::sources::link::Link;
use crate::audit::sources::orders::{Order, OrderState, Orders};
use crate::audit::sources::payments::Payments;
use crate::audit::sources::provider::Provider;

/// What the check compares.
pub struct Input<'a> {
    pub orders: Both<&'a Orders>,
    pub payments: Both<&'a Payments>,
    pub inventory: Both<&'a Inventory>,
    pub provider: &'a Provider,
    /// While it is cut, an intention may stand in both regions.
    pub link: Link,
}

/// Checks every order, payment, reservation and charge against the home of its order, and every intention.
pub fn check(input: &Input<'_>) -> Examined {
    let Input { orders, payments, inventory, provider, link } = input;
    let mut examined = Examined::default();
    let homes = homes(*orders);
    examined.count(homes.len(), "orders");
    for (region, orders) in orders.each() {
        apart(&mut examined, &homes, region, "order", orders.orders.keys());
    }
    for (region, payments) in payments.each() {
        apart(&mut examined, &homes, region, "payment", payments.payments.keys());
    }
    for (region, inventory) in inventory.each() {
        apart(&mut examined, &homes, region, "reservation", inventory.reservations.keys());
    }
    for (id, intent) in &provider.intents {
        let home = intent.reference.parse().ok().and_then(|order: OrderId| homes.get(&order));
        examined.require(home.is_none_or(|home| home.name() == intent.account), || {
            let home = home.map_or("unknown", |home| home.name());
            format!(
                "order {} is at home in {home}, and {id} charges it through account {}",
                intent.reference, intent.account
            )
        });
    }
    if *link == Link::Open {
        intentions(&mut examined, *orders);
    }
    examined
}

/// Where each order is at home: as its row says, the first one of two.
fn homes(orders: Both<&Orders>) -> BTreeMap<OrderId, Region> {
    let mut homes = BTreeMap::new();
    for (region, orders) in orders.each() {
        for (id, order) in &orders.orders {
            homes.entry(*id).or_insert_with(|| order.home_region.parse().unwrap_or(region));
        }
    }
    homes
}

/// Names what a region has of an order that is not its own.
fn apart<'a>(
    examined: &mut Examined,
    homes: &BTreeMap<OrderId, Region>,
    region: Region,
    what: &str,
    ids: impl Iterator<Item = &'a OrderId>,
) {
    for id in ids {
        let home = homes.get(id).copied().unwrap_or(region);
        examined.require(home == region, || format!("{region} has a {what} of order {id}, which is at home in {home}"));
    }
}

/// Whether somebody pays for it: it is placed or shipped, and not taken back whole. (That what was taken back is paid back is the check
/// `returns and refunds`.)
fn stands(order: &Order) -> bool {
    let is_kept = order.lines.iter().any(|line| line.returned_quantity < line.quantity);
    matches!(order.state, OrderState::Placed | OrderState::Shipped) && is_kept
}

fn intentions(examined: &mut Examined, orders: Both<&Orders>) {
    let mut standing = BTreeMap::<(CustomerId, &str), Vec<(Region, OrderId)>>::new();
    for (region, orders) in orders.each() {
        for (id, order) in orders.orders.iter().filter(|(_, order)| stands(order)) {
            standing.entry((order.customer, &order.key)).or_default().push((region, *id));
        }
    }
    examined.count(standing.len(), "intentions");
    for ((customer, _), orders) in standing.iter().filter(|(_, orders)| orders.len() > 1) {
        let named: Vec<String> = orders.iter().map(|(region, id)| format!("{id} in {region}")).collect();
        examined.require(false, || format!("one request of customer {customer} stands as {}", named.join(" and ")));
    }
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, sound};
    use super::*;

    fn examine(world: &World) -> Examined {
        check(&Input {
            orders: world.orders.as_ref(),
            payments: world.payments.as_ref(),
            inventory: world.inventory.as_ref(),
            provider: &world.provider,
            link: world.link,
        })
    }

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&examine(&world), named);
    }

    #[test]
    fn an_order_driven_in_the_other_region_too_is_named_with_all_it_left_there() {
        let placed = sound().placed;
        for what in ["order", "payment", "reservation"] {
            let what = format!("west has a {what} of order {placed}");
            fails(|world| world.drive_again(placed, Region::West), &[&what, "at home in east"]);
        }
        fails(
            |world| world.drive_again(placed, Region::West),
            &[&placed.to_string(), "at home in east", "through account west"],
        );
    }

    #[test]
    fn a_charge_through_the_account_of_another_region_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| {
            let reference = placed.to_string();
            let intents = world.provider.intents.values_mut().filter(|intent| intent.reference == reference);
            intents.for_each(|intent| "west".clone_into(&mut intent.account));
        };
        fails(doctor, &[&placed.to_string(), "at home in east", "through account west"]);
    }

    /// The cancelled order of west becomes one that stands, of the same request as the placed order of east.
    fn twins(world: &mut World) {
        let (placed, cancelled) = (world.placed, world.cancelled);
        let Order { customer, key, .. } = world.orders.east.orders[&placed].clone();
        let twin = world.orders.west.orders.get_mut(&cancelled).unwrap();
        (twin.customer, twin.key, twin.state) = (customer, key, OrderState::Placed);
    }

    #[test]
    fn one_request_that_stands_as_two_orders_is_named_unless_the_link_is_cut() {
        let World { placed, cancelled, .. } = sound();
        fails(twins, &["one request", &format!("{placed} in east"), &format!("{cancelled} in west")]);
        let mut world = sound();
        twins(&mut world);
        world.link = Link::Cut;
        assert!(examine(&world).offenders().is_empty(), "{:?}", examine(&world).offenders());
    }

    #[test]
    fn one_of_two_that_is_cancelled_or_taken_back_whole_stands_no_more() {
        for undo in [(|order: &mut Order| order.state = OrderState::Cancelled) as fn(&mut Order), |order| {
            order.state = OrderState::Shipped;
            order.lines.iter_mut().for_each(|line| line.returned_quantity = line.quantity);
        }] {
            let mut world = sound();
            twins(&mut world);
            let cancelled = world.cancelled;
            undo(world.orders.west.orders.get_mut(&cancelled).unwrap());
            assert!(examine(&world).offenders().is_empty(), "{:?}", examine(&world).offenders());
        }
    }
}
