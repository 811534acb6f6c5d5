//! Carts in both regions: the same carts, of the same bytes, the same checkouts in the same states, and the same units ordered twice.
//!
//! Bytes, because a stored value has one form only (see the check `carts`): what differs in bytes differs in what it means. Only for
//! an open link, and with nothing on its way: then a difference is one that nothing but anti-entropy would mend.

use std::collections::BTreeMap;

use ids::{CartId, OrderId};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::carts::{Carts, Checkout, StoredCart, Twice};

/// Compares the carts and checkouts of the two regions.
pub fn check(carts: Both<&Carts>) -> Examined {
    let mut examined = Examined::default();
    for (region, Carts { unacknowledged, .. }) in carts.each() {
        examined.require(*unacknowledged == 0, || {
            format!("{unacknowledged} operations of {region} are not acknowledged by {}", region.peer())
        });
    }
    let Both { east, west } = carts;
    let name = |id: &CartId| format!("cart {id}");
    side_by_side(&mut examined, &east.carts, &west.carts, "carts", name, same_cart);
    let name = |id: &OrderId| format!("checkout of order {id}");
    side_by_side(&mut examined, &east.checkouts, &west.checkouts, "checkouts", name, same_checkout);
    let name = |(cart, offer, first, second): &Twice| {
        format!("cart {cart}: {offer} ordered twice, by {first} and by {second},")
    };
    side_by_side(
        &mut examined,
        &east.twice,
        &west.twice,
        "lines ordered twice",
        name,
        |examined, twice, east, west| {
            examined.require(east == west, || format!("{} is {east} units in east and {west} in west", name(twice)));
        },
    );
    examined
}

/// Hands what both regions have to `compare`, and names what one of them lacks.
fn side_by_side<K: Ord, V>(
    examined: &mut Examined,
    east: &BTreeMap<K, V>,
    west: &BTreeMap<K, V>,
    of: &'static str,
    name: impl Fn(&K) -> String,
    compare: impl Fn(&mut Examined, &K, &V, &V),
) {
    for (key, ours) in east {
        examined.count(1, of);
        match west.get(key) {
            Some(theirs) => compare(examined, key, ours, theirs),
            None => examined.require(false, || format!("{} is in east and not in west", name(key))),
        }
    }
    for key in west.keys().filter(|key| !east.contains_key(key)) {
        examined.count(1, of);
        examined.require(false, || format!("{} is in west and not in east", name(key)));
    }
}

fn same_cart(examined: &mut Examined, id: &CartId, east: &StoredCart, west: &StoredCart) {
    examined.require(east.owner == west.owner, || {
        format!("cart {id} is owned by {} in east and by {} in west", east.owner, west.owner)
    });
    examined.require(east.context == west.context, || format!("cart {id}: its context differs"));
    examined.require(east.address == west.address, || format!("cart {id}: its delivery address differs"));
    examined.require(east.line_count == west.line_count, || {
        format!("cart {id} counts {} lines in east and {} in west", east.line_count, west.line_count)
    });
    let name = |offer: &String| format!("cart {id}: line {offer}");
    side_by_side(examined, &east.lines, &west.lines, "lines", name, |examined, offer, east, west| {
        examined.require(east == west, || format!("cart {id}: line {offer} differs"));
    });
}

/// Not the cut: it is dropped where it is not needed any more.
fn same_checkout(examined: &mut Examined, order: &OrderId, east: &Checkout, west: &Checkout) {
    examined.require(east.cart == west.cart, || {
        format!("checkout of order {order} is of cart {} in east and of cart {} in west", east.cart, west.cart)
    });
    examined.require(east.state == west.state, || {
        format!("checkout of order {order} is {:?} in east and {:?} in west", east.state, west.state)
    });
    // Whoever began it settles it.
    examined.require(east.begun_here != west.begun_here, || {
        let regions = if east.begun_here { "both regions" } else { "neither region" };
        format!("checkout of order {order} was begun in {regions}, as they say")
    });
}

#[cfg(test)]
mod tests {
    use ids::CustomerId;

    use super::super::world::{World, assert_named, cart_before_checkout, sound};
    use super::*;
    use crate::audit::sources::carts::CheckoutState;

    fn examine(doctor: impl FnOnce(&mut World)) -> Examined {
        let mut world = sound();
        doctor(&mut world);
        check(world.carts.as_ref())
    }

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        assert_named(&examine(doctor), named);
    }

    fn placed_cart() -> CartId {
        let world = sound();
        world.orders.east.orders[&world.placed].cart
    }

    /// The cart of the placed order, as the other region has it.
    fn replica(world: &mut World) -> &mut StoredCart {
        world.carts.west.carts.get_mut(&placed_cart()).unwrap()
    }

    #[test]
    fn a_cart_that_one_region_lacks_is_named() {
        let id = placed_cart();
        let name = id.to_string();
        fails(|world| drop(world.carts.west.carts.remove(&id)), &[&name, "in east and not in west"]);
        fails(|world| drop(world.carts.east.carts.remove(&id)), &[&name, "in west and not in east"]);
    }

    #[test]
    fn each_part_of_a_cart_that_differs_is_named() {
        let name = placed_cart().to_string();
        let stranger = CustomerId::generate();
        fails(|world| replica(world).owner = stranger, &[&name, "owned by", &stranger.to_string()]);
        fails(|world| replica(world).context.push(0), &[&name, "its context differs"]);
        fails(|world| replica(world).address.push(0), &[&name, "its delivery address differs"]);
        fails(|world| replica(world).line_count = 7, &[&name, "counts 1 lines in east and 7 in west"]);
        fails(|world| replica(world).lines.get_mut("cup").unwrap().push(0), &[&name, "line cup differs"]);
        fails(|world| drop(replica(world).lines.remove("cup")), &[&name, "line cup is in east and not in west"]);
        let added = |world: &mut World| drop(replica(world).lines.insert("vase".to_owned(), vec![1]));
        fails(added, &[&name, "line vase is in west and not in east"]);
    }

    #[test]
    fn a_cut_that_did_not_arrive_is_named_and_so_is_nothing_else() {
        let examined = examine(|world| *replica(world) = cart_before_checkout());
        let cart = placed_cart();
        assert_eq!(
            examined.offenders(),
            [format!("cart {cart}: its context differs"), format!("cart {cart}: line cup differs")]
        );
    }

    #[test]
    fn checkouts_that_differ_are_named() {
        let World { placed, cancelled, .. } = sound();
        let west = |world: &mut World, change: fn(&mut Checkout)| {
            change(world.carts.west.checkouts.get_mut(&placed).unwrap());
        };
        let name = placed.to_string();
        fails(|world| drop(world.carts.west.checkouts.remove(&placed)), &[&name, "in east and not in west"]);
        let missing = |world: &mut World| drop(world.carts.east.checkouts.remove(&cancelled));
        fails(missing, &[&cancelled.to_string(), "in west and not in east"]);
        let undecided = |checkout: &mut Checkout| checkout.state = CheckoutState::Undecided;
        fails(|world| west(world, undecided), &[&name, "Ordered in east and Undecided in west"]);
        let of_another = |checkout: &mut Checkout| checkout.cart = CartId::from_uuid(uuid::Uuid::nil());
        fails(
            |world| west(world, of_another),
            &[&name, "is of cart", &CartId::from_uuid(uuid::Uuid::nil()).to_string()],
        );
    }

    #[test]
    fn a_checkout_that_both_regions_or_none_would_settle_is_named() {
        let World { placed, .. } = sound();
        let begun = |world: &mut World, begun_here| {
            for carts in [&mut world.carts.east, &mut world.carts.west] {
                carts.checkouts.get_mut(&placed).unwrap().begun_here = begun_here;
            }
        };
        fails(|world| begun(world, true), &[&placed.to_string(), "begun in both regions"]);
        fails(|world| begun(world, false), &[&placed.to_string(), "begun in neither region"]);
    }

    #[test]
    fn a_cut_that_is_not_kept_where_it_is_settled_is_no_difference() {
        let placed = sound().placed;
        let examined = examine(|world| world.carts.west.checkouts.get_mut(&placed).unwrap().cut.clear());
        assert!(examined.offenders().is_empty(), "{:?}", examined.offenders());
    }

    #[test]
    fn units_ordered_twice_that_one_region_does_not_know_of_or_counts_otherwise_are_named() {
        let World { placed, shipped, .. } = sound();
        let twice = || ((placed_cart(), "cup".to_owned(), shipped, placed), 1);
        let name = placed_cart().to_string();
        fails(
            |world| world.carts.west.twice.extend([twice()]),
            &[&name, "cup ordered twice", "in west and not in east"],
        );
        let otherwise = |world: &mut World| {
            world.carts.east.twice.extend([twice()]);
            world.carts.west.twice.extend([(twice().0, 2)]);
        };
        fails(otherwise, &[&name, &shipped.to_string(), "1 units in east and 2 in west"]);
    }

    #[test]
    fn a_log_that_does_not_get_across_is_named() {
        fails(|world| world.carts.west.unacknowledged = 3, &["3 operations of west", "not acknowledged by east"]);
    }
}
