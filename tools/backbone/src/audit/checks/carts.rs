//! Carts: every stored value decodes and is in its one canonical form, the counts are right, and what was ordered has left the
//! cart while nothing else has. Each region for itself, replicas of the other's carts and checkouts included; whether the two agree
//! is the check `carts in both regions`.

use std::fmt;

use crdt::codec::{DecodeError, Reader, Wire, decode_address, decode_context, decode_delta, decode_line};
use crdt::codec::{encode_address, encode_context, encode_delta, encode_line};
use crdt::{Cart, CausalContext, Delta, Denominated, Line, MvRegister};
use ids::{OrderId, Region};

use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::carts::{Carts, Checkout, CheckoutState, StoredCart};
use crate::audit::sources::orders::{Order, OrderState, Orders};

/// What a line keeps of its offer: the stored form alone, read without the service's own code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Snapshot {
    pub(super) price_minor: u64,
    pub(super) currency: String,
    pub(super) seller: String,
    pub(super) title: String,
}

impl Denominated for Snapshot {
    type Denomination = String;

    fn denomination(&self) -> String {
        self.currency.clone()
    }
}

impl Wire for Snapshot {
    fn write(&self, out: &mut Vec<u8>) {
        self.price_minor.write(out);
        self.currency.write(out);
        self.seller.write(out);
        self.title.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            price_minor: u64::read(reader)?,
            currency: String::read(reader)?,
            seller: String::read(reader)?,
            title: String::read(reader)?,
        })
    }
}

/// A delivery address, likewise: recipient, street, city, postal code, country.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address(pub(super) [String; 5]);

/// A place where somebody lives is nothing to print.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(redacted)")
    }
}

impl Wire for Address {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|part| part.write(out));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut parts = [const { String::new() }; 5];
        for part in &mut parts {
            *part = String::read(reader)?;
        }
        Ok(Self(parts))
    }
}

pub(super) type State = Cart<String, Snapshot, Address>;
pub(super) type Cut = Delta<String, Snapshot, Address>;

/// Checks every cart and checkout of both regions.
pub fn check(orders: Both<&Orders>, carts: Both<&Carts>) -> Examined {
    let mut examined = Examined::default();
    for (region, carts) in carts.each() {
        examined.count(carts.carts.len(), "carts");
        for (id, cart) in &carts.carts {
            let lines = cart.lines.len();
            examined.count(lines, "lines");
            examined.require(usize::try_from(cart.line_count) == Ok(lines), || {
                format!("{region} cart {id} counts {} lines and has {lines}", cart.line_count)
            });
            if let Err(fault) = state(cart) {
                examined.require(false, || format!("{region} cart {id}: {fault}"));
            }
        }
        for (id, offer) in &carts.stray_lines {
            examined.require(false, || format!("{region} line {offer} is of cart {id}, which is not there"));
        }
        let orders = &orders.of(region).orders;
        examined.count(carts.checkouts.len(), "checkouts");
        // What people mended is no fault, and nothing to keep quiet about.
        if !carts.mends.is_empty() {
            examined.count(carts.mends.len(), "values mended by hand");
        }
        if let lost @ 1.. = carts.mends.iter().filter(|mend| mend.is_loss()).count() {
            examined.count(lost, "of them lost");
        }
        for (id, checkout) in &carts.checkouts {
            let order = orders.get(id);
            let stored = carts.carts.get(&checkout.cart);
            // The region that began it has the order, and settles it.
            let stands = if checkout.begun_here { settled(order, checkout) } else { Ok(()) };
            let is_lost = || carts.mends.iter().any(|mend| mend.is_loss() && mend.value == format!("cut {id}"));
            let cut = if checkout.cut.is_empty() && is_lost() { Ok(()) } else { cut_fault(order, checkout, stored) };
            let fault = stands.and(cut);
            examined.require(fault.is_ok(), || of_checkout(region, *id, &fault.err().unwrap_or_default()));
        }
        let was_begun = |id| carts.checkouts.get(id).is_some_and(|checkout| checkout.begun_here);
        for (id, order) in orders.iter().filter(|(id, _)| !was_begun(*id)) {
            examined.require(false, || {
                of_checkout(region, *id, &format!("there is none begun here, its order is {:?}", order.state))
            });
        }
    }
    examined
}

fn of_checkout(region: Region, order: OrderId, fault: &str) -> String {
    format!("{region} checkout of order {order}: {fault}")
}

/// The cart's state, if it is what the codec writes: decoding what decodes must give the same bytes back, and every entry must have
/// been seen.
pub(super) fn state(cart: &StoredCart) -> Result<State, String> {
    let context = decode_context(&cart.context).map_err(|error| format!("its context does not decode: {error}"))?;
    if encode_context(&context) != cart.context {
        return Err("its context is not in canonical form".to_owned());
    }
    let mut lines = Vec::with_capacity(cart.lines.len());
    for (offer, bytes) in &cart.lines {
        let line: Line<Snapshot> =
            decode_line(bytes).map_err(|error| format!("line {offer} does not decode: {error}"))?;
        if encode_line(&line) != *bytes {
            return Err(format!("line {offer} is not in canonical form"));
        }
        if line.is_empty() {
            return Err(format!("line {offer} is kept and empty"));
        }
        if let Some((dot, _)) = line.entries().find(|(dot, _)| !context.contains(*dot)) {
            return Err(format!("line {offer} has entry {dot:?}, which the cart has not seen"));
        }
        lines.push((offer.clone(), line));
    }
    let address = address(cart, &context)?;
    Ok(Cart::from_parts(context, lines).with_address(address))
}

fn address(cart: &StoredCart, context: &CausalContext) -> Result<MvRegister<Address>, String> {
    let address: MvRegister<Address> =
        decode_address(&cart.address).map_err(|error| format!("its delivery address does not decode: {error}"))?;
    if encode_address(&address) != cart.address {
        return Err("its delivery address is not in canonical form".to_owned());
    }
    if let Some(dot) = address.dots().find(|dot| !context.contains(*dot)) {
        return Err(format!("its delivery address has assignment {dot:?}, which the cart has not seen"));
    }
    Ok(address)
}

/// Whether the checkout stands as its order does.
fn settled(order: Option<&Order>, checkout: &Checkout) -> Result<(), String> {
    let state = order.map(|order| order.state);
    let fits = match state {
        // Undecided orders have undecided checkouts; while unwinding, the cut may be dropped already.
        Some(OrderState::Pending) => checkout.state == CheckoutState::Undecided,
        Some(OrderState::Compensating) => checkout.state != CheckoutState::Ordered,
        Some(OrderState::Placed | OrderState::Shipped | OrderState::Cancelled) => {
            checkout.state == CheckoutState::Ordered
        }
        Some(OrderState::Rejected) => checkout.state == CheckoutState::Abandoned,
        // Refused before it became an order, or its process died.
        None => checkout.state != CheckoutState::Ordered,
    };
    if !fits {
        let order = state.map_or_else(|| "not there".to_owned(), |state| format!("{state:?}"));
        return Err(format!("it is {:?}, its order is {order}", checkout.state));
    }
    match order {
        Some(order) if order.cart != checkout.cart => {
            Err(format!("it is of cart {}, its order of cart {}", checkout.cart, order.cart))
        }
        _ => Ok(()),
    }
}

/// Whether the cut names what was ordered, and, once ordered, is joined: joining it again must change nothing. A replica that
/// arrived settled has none.
fn cut_fault(order: Option<&Order>, checkout: &Checkout, stored: Option<&StoredCart>) -> Result<(), String> {
    let stored = stored.ok_or_else(|| format!("its cart {} is not there", checkout.cart))?;
    if checkout.cut.is_empty() && !checkout.begun_here && checkout.state != CheckoutState::Undecided {
        return Ok(());
    }
    let cut: Cut = decode_delta(&checkout.cut).map_err(|error| format!("its cut does not decode: {error}"))?;
    if encode_delta(&cut) != checkout.cut {
        return Err("its cut is not in canonical form".to_owned());
    }
    if !cut.address.is_untouched() {
        return Err("its cut touches the delivery address".to_owned());
    }
    let missing = order.into_iter().flat_map(|order| &order.lines).find(|line| !cut.lines.contains_key(&line.offer));
    if let Some(line) = missing {
        return Err(format!("its cut does not name {}, which was ordered", line.offer));
    }
    // A cart that does not decode was named already.
    let Ok(before) = state(stored) else { return Ok(()) };
    if checkout.state == CheckoutState::Ordered {
        let mut after = before.clone();
        after.join_delta(&cut);
        if after != before {
            return Err("what was ordered is still in the cart".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::world::{World, assert_named, cart_before_checkout, sound};
    use super::*;
    use crate::audit::sources::carts::Mend;

    fn fails(doctor: impl FnOnce(&mut World), named: &[&str]) {
        let mut world = sound();
        doctor(&mut world);
        assert_named(&check(world.orders.as_ref(), world.carts.as_ref()), named);
    }

    fn cart_of(world: &mut World, order: OrderId) -> &mut StoredCart {
        let cart = world.carts.east.checkouts[&order].cart;
        world.carts.east.carts.get_mut(&cart).unwrap()
    }

    fn checkout(world: &mut World, order: OrderId) -> &mut Checkout {
        world.carts.east.checkouts.get_mut(&order).unwrap()
    }

    #[test]
    fn what_does_not_decode_or_is_not_canonical_is_named() {
        let placed = sound().placed;
        let name = sound().orders.east.orders[&placed].cart.to_string();
        fails(|world| cart_of(world, placed).context.push(0), &["east cart", &name, "context does not decode"]);
        let broken = |world: &mut World| drop(cart_of(world, placed).lines.insert("vase".to_owned(), vec![1, 9]));
        fails(broken, &[&name, "line vase does not decode"]);
        // Format version 1, no entries: decodes, but an emptied line is deleted and not kept.
        let empty = |world: &mut World| drop(cart_of(world, placed).lines.insert("vase".to_owned(), vec![1, 0]));
        fails(empty, &[&name, "line vase is kept and empty"]);
        fails(|world| cart_of(world, placed).address.push(0), &[&name, "delivery address does not decode"]);
        fails(|world| checkout(world, placed).cut.truncate(3), &[&placed.to_string(), "its cut does not decode"]);
    }

    #[test]
    fn what_was_mended_by_hand_is_counted_and_a_cut_that_was_lost_then_is_accepted() {
        let mut world = sound();
        let placed = world.placed;
        checkout(&mut world, placed).cut.clear();
        let mend = world.mend(placed, format!("cut {placed}"), "lost");
        world.carts.east.mends.push(mend.clone());
        world.carts.east.mends.push(Mend { value: "context".to_owned(), outcome: "joined".to_owned(), ..mend });
        let examined = check(world.orders.as_ref(), world.carts.as_ref());
        assert!(examined.offenders().is_empty(), "{:?}", examined.offenders());
        assert_eq!((examined.counted("values mended by hand"), examined.counted("of them lost")), (2, 1));
    }

    #[test]
    fn a_wrong_count_of_lines_is_named() {
        let placed = sound().placed;
        fails(|world| cart_of(world, placed).line_count += 1, &["counts 2 lines and has 1"]);
    }

    #[test]
    fn an_entry_nobody_made_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| cart_of(world, placed).context = encode_context(&crdt::CausalContext::new());
        fails(doctor, &["which the cart has not seen"]);
    }

    #[test]
    fn an_assignment_nobody_made_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| {
            let cart = cart_of(world, placed);
            cart.context = encode_context(&CausalContext::new());
            cart.lines.clear();
            cart.line_count = 0;
        };
        fails(doctor, &["delivery address has assignment", "which the cart has not seen"]);
    }

    #[test]
    fn a_cut_that_takes_the_address_along_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| {
            let address = decode_address(&cart_of(world, placed).address).unwrap();
            let checkout = checkout(world, placed);
            let mut cut: Cut = decode_delta(&checkout.cut).unwrap();
            cut.address = address;
            checkout.cut = encode_delta(&cut);
        };
        fails(doctor, &[&placed.to_string(), "its cut touches the delivery address"]);
    }

    #[test]
    fn a_cut_that_is_not_joined_is_named() {
        let placed = sound().placed;
        let doctor = |world: &mut World| *cart_of(world, placed) = cart_before_checkout();
        fails(doctor, &[&placed.to_string(), "still in the cart"]);
    }

    #[test]
    fn a_checkout_that_does_not_stand_as_its_order_is_named() {
        let World { placed, rejected, .. } = sound();
        let undecided = |world: &mut World| checkout(world, placed).state = CheckoutState::Undecided;
        fails(undecided, &[&placed.to_string(), "it is Undecided, its order is Placed"]);
        let ordered = |world: &mut World| {
            world.carts.west.checkouts.get_mut(&rejected).unwrap().state = CheckoutState::Ordered;
        };
        fails(ordered, &[&rejected.to_string(), "it is Ordered, its order is Rejected"]);
        fails(|world| drop(world.orders.east.orders.remove(&placed)), &["it is Ordered, its order is not there"]);
        fails(|world| drop(world.carts.east.checkouts.remove(&placed)), &[&placed.to_string(), "there is none"]);
        fails(|world| checkout(world, placed).begun_here = false, &[&placed.to_string(), "there is none begun here"]);
    }

    #[test]
    fn rows_of_a_cart_that_is_not_there_are_named() {
        let World { placed, .. } = sound();
        let cart = sound().orders.east.orders[&placed].cart;
        let lines = [(cart, "cup".to_owned())];
        fails(|world| world.carts.west.stray_lines.extend(lines), &["west line cup", &cart.to_string(), "not there"]);
        let doctor = |world: &mut World| drop(world.carts.east.carts.remove(&cart));
        fails(doctor, &["east checkout", &placed.to_string(), &cart.to_string(), "not there"]);
    }

    /// The cart of an order of east, and its checkout, as west has them.
    fn replicas(world: &mut World, order: OrderId) -> (&mut StoredCart, &mut Checkout) {
        let Carts { carts, checkouts, .. } = &mut world.carts.west;
        let checkout = checkouts.get_mut(&order).unwrap();
        (carts.get_mut(&checkout.cart).unwrap(), checkout)
    }

    #[test]
    fn a_replica_of_the_other_regions_cart_or_checkout_is_looked_at_too() {
        let placed = sound().placed;
        fails(|world| replicas(world, placed).0.context.push(0), &["west cart", "context does not decode"]);
        fails(|world| *replicas(world, placed).0 = cart_before_checkout(), &["west checkout", "still in the cart"]);
        fails(|world| replicas(world, placed).1.cut.truncate(3), &["west checkout", "its cut does not decode"]);
    }

    #[test]
    fn only_the_replica_of_a_settled_checkout_may_be_without_its_cut() {
        let placed = sound().placed;
        fails(|world| checkout(world, placed).cut.clear(), &["east checkout", "its cut does not decode"]);
        // While it is undecided its cut hides its lines, in both regions.
        let lost = |world: &mut World| {
            let (_, checkout) = replicas(world, placed);
            checkout.state = CheckoutState::Undecided;
            checkout.cut.clear();
        };
        fails(lost, &["west checkout", &placed.to_string(), "its cut does not decode"]);
        let mut world = sound();
        replicas(&mut world, placed).1.cut.clear();
        assert!(check(world.orders.as_ref(), world.carts.as_ref()).offenders().is_empty());
    }
}
