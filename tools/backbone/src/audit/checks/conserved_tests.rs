//! Units that a cart lost, doubled or made up.

use crdt::codec::{encode_context, encode_delta, encode_line};

use super::super::edited_cart::EditedCart;
use super::super::world::{World, assert_named, cart_before_checkout, sound};
use super::*;
use crate::audit::report::Examined;

fn examine(doctor: impl FnOnce(&mut World)) -> Examined {
    let mut world = sound();
    doctor(&mut world);
    check(world.orders.as_ref(), world.carts.as_ref())
}

fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
    assert_named(&examine(doctor), named);
}

/// A world with one more cart, edited in both regions: two mugs that east added and west removed, while east added another; and four
/// cups, of which west had seen three when it set them to one. The doctor is given the mugs as they were before.
fn edited(doctor: impl FnOnce(&mut EditedCart, Vec<u8>)) -> Examined {
    let mut world = sound();
    let mut cart = EditedCart::default();
    cart.east(|cart| cart.add("mug", 2));
    cart.east(|cart| cart.add("cup", 3));
    cart.talk();
    let mugs = cart.line("mug");
    cart.west(|cart| cart.remove("mug"));
    cart.west(|cart| cart.set("cup", 1));
    cart.east(|cart| cart.add("mug", 1));
    cart.east(|cart| cart.add("cup", 1));
    cart.talk();
    cart.east(|cart| cart.remove("mug"));
    cart.east(|cart| cart.add("mug", 5));
    cart.talk();
    cart.settle();
    doctor(&mut cart, mugs);
    cart.put(&mut world);
    check(world.orders.as_ref(), world.carts.as_ref())
}

#[test]
fn units_of_whole_histories_balance_whatever_was_edited_where() {
    let examined = edited(|_, _| {});
    assert!(examined.offenders().is_empty(), "{:#?}", examined.offenders());
    assert_eq!(examined.counted("carts with their whole history"), 5);
    assert_eq!(examined.counted("carts whose history is not whole"), 0);
    // Those of the sound world; 3 mugs and 5, 4 cups and the one that was set.
    assert_eq!(examined.counted("units"), 6 + 8 + 5);
}

#[test]
fn a_cut_that_takes_more_or_less_than_its_order_is_named() {
    let (placed, shipped) = (sound().placed, sound().shipped);
    let none = |world: &mut World| world.orders.east.orders.get_mut(&placed).unwrap().lines.clear();
    fails(none, &[&placed.to_string(), "its cut takes 1 of cup, of which 0 are ordered"]);
    let more = |world: &mut World| world.orders.east.orders.get_mut(&shipped).unwrap().lines[0].quantity = 3;
    fails(more, &["east", &shipped.to_string(), "its cut takes 2 of teapot, of which 3 are ordered"]);
    let replica = |world: &mut World| {
        let checkout = world.carts.west.checkouts.get_mut(&placed).unwrap();
        let mut cut: Cut = decode_delta(&checkout.cut).unwrap();
        cut.lines.clear();
        checkout.cut = encode_delta(&cut);
    };
    fails(replica, &["west", &placed.to_string(), "its cut takes 0 of cup, of which 1 are ordered"]);
}

/// Another order of west, of the cart that east has ordered.
fn order_again(world: &mut World, has_seen: bool, kept: i64) {
    let placed = world.placed;
    let again = OrderId::from_uuid(uuid::Uuid::from_u128(9));
    let first = world.carts.east.checkouts[&placed].clone();
    let operation = Dot::new(ReplicaId(2), 1);
    let seen = if has_seen { encode_context(&[first.operation].into_iter().collect()) } else { first.seen.clone() };
    let order = world.orders.east.orders[&placed].clone();
    let twice = (first.cart, "cup".to_owned(), placed, again);
    world.carts.west.twice.extend((kept > 0).then_some((twice, kept)));
    world.carts.west.checkouts.insert(again, Checkout { operation, seen, ..first });
    world.orders.west.orders.insert(again, order);
}

#[test]
fn a_unit_that_two_orders_took_is_named_unless_it_is_kept_as_ordered_twice() {
    let placed = sound().placed.to_string();
    let named = [placed.as_str(), "both took the same 1 of cup, of which 0 are kept as ordered twice"];
    fails(|world| order_again(world, false, 0), &named);
    // One that knew of the other takes nothing of what that one took, whatever is kept.
    fails(|world| order_again(world, true, 1), &named);
    let told = examine(|world| order_again(world, false, 1));
    assert!(told.offenders().is_empty(), "{:#?}", told.offenders());
}

#[test]
fn units_that_vanished_are_named() {
    let lost = edited(|cart, _| cart.tamper(|cart| drop(cart.lines.remove("cup"))));
    assert_named(&lost, &["of cup 5 were added, 0 are in the cart, 0 ordered and 3 removed", "2 vanished"]);
    // A rejected order took them all the same.
    let rejected = sound().rejected;
    let joined = |world: &mut World| {
        let checkout = world.carts.west.checkouts[&rejected].clone();
        for carts in [&mut world.carts.east, &mut world.carts.west] {
            let cart = carts.carts.get_mut(&checkout.cart).unwrap();
            let mut after = state(cart).unwrap();
            after.join_delta(&decode_delta(&checkout.cut).unwrap());
            cart.lines = after.lines().map(|(offer, line)| (offer.clone(), encode_line(line))).collect();
        }
    };
    fails(joined, &["of teapot 1 were added, 0 are in the cart, 0 ordered and 0 removed", "1 vanished"]);
}

#[test]
fn units_that_a_mending_told_of_as_lost_are_counted_apart() {
    let rejected = sound().rejected;
    let lose = |world: &mut World| {
        let id = world.carts.west.checkouts[&rejected].cart;
        for carts in [&mut world.carts.east, &mut world.carts.west] {
            carts.carts.get_mut(&id).unwrap().lines.clear();
        }
    };
    fails(lose, &["1 vanished"]);
    let told = examine(|world| {
        lose(world);
        let mend = world.mend(rejected, "line teapot".to_owned(), "lost");
        world.carts.east.mends.push(mend);
    });
    assert!(told.offenders().is_empty(), "{:#?}", told.offenders());
    assert_eq!(told.counted("carts that lost units to a value that nobody could read"), 1);
}

#[test]
fn units_that_came_back_are_named() {
    let back = edited(|cart, mugs| cart.tamper(|cart| drop(cart.lines.insert("mug".to_owned(), mugs))));
    assert_named(&back, &["of mug 8 were added, 2 are in the cart", "2 are in the cart though the shopper removed"]);

    let placed = sound().placed;
    let ordered = |world: &mut World| {
        let cart = world.carts.east.checkouts[&placed].cart;
        let whole = cart_before_checkout();
        for carts in [&mut world.carts.east, &mut world.carts.west] {
            carts.carts.get_mut(&cart).unwrap().lines.clone_from(&whole.lines);
        }
    };
    fails(ordered, &["of cup 1 were added, 1 are in the cart", "1 are in the cart though an order took them"]);
}

#[test]
fn units_that_nobody_added_are_named() {
    let rejected = sound().rejected;
    let doctor = |world: &mut World| {
        let id = world.carts.west.checkouts[&rejected].cart;
        let mut more = state(&world.carts.west.carts[&id]).unwrap();
        let snapshot = Snapshot { price_minor: 1, currency: "GBP".into(), seller: "p".into(), title: "t".into() };
        more.add(ReplicaId(2), "teapot".to_owned(), 2, snapshot).unwrap();
        let lines = more.lines().map(|(offer, line)| (offer.clone(), encode_line(line)));
        world.carts.west.carts.get_mut(&id).unwrap().lines = lines.collect();
    };
    fails(doctor, &["of teapot 1 were added, 3 are in the cart", "2 were added by nobody"]);
}

#[test]
fn an_operation_that_is_logged_and_not_in_the_cart_is_named_and_so_is_one_that_does_not_decode() {
    let forgotten = edited(|cart, _| {
        cart.tamper(|cart| {
            cart.context = encode_context(&[Dot::new(ReplicaId(1), 1)].into_iter().collect());
            cart.lines.clear();
        });
    });
    assert_named(&forgotten, &["operation client:", "is in the log and not in the cart"]);
    let broken = |world: &mut World| {
        world.carts.east.log.values_mut().next().unwrap()[0].delta.truncate(1);
    };
    fails(broken, &["operation client:", "does not decode"]);
}

#[test]
fn a_history_that_is_not_whole_proves_nothing_of_single_units() {
    let examined = edited(|cart, _| {
        cart.tamper(|cart| drop(cart.lines.remove("cup")));
        cart.trim_first();
    });
    assert!(examined.offenders().is_empty(), "{:#?}", examined.offenders());
    assert_eq!(examined.counted("carts whose history is not whole"), 1);
    assert_eq!(examined.counted("carts with their whole history"), 4);
}
