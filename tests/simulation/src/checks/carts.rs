//! What leaves a cart: the units of its orders that were not rejected, and those that its shopper removed. Nothing else, and nothing twice but
//! what regions sold that could not talk.
//!
//! Each add has a price of its own here and what is taken is all that shows of it, so a price names the very units. The histories of carts
//! are kept apart from their states, by what shoppers asked and were shown.

use std::collections::{BTreeMap, BTreeSet};

use cart::domain::ordered_twice;
use order::domain::OrderState;

use super::{Fault, require};
use crate::Verdict;
use crate::coverage::Seen;
use crate::stores::carts::{Batch, CheckoutState, batches};
use crate::world::World;

/// What its shopper did to a cart.
#[derive(Default)]
pub struct History {
    pub added: BTreeMap<Batch, u64>,
    pub removed: BTreeSet<Batch>,
    /// Adds that were asked for.
    pub asked: usize,
}

/// At rest.
pub fn check(world: &World) -> Result<(), Fault> {
    for (cart, history) in &world.histories {
        let mut ordered = BTreeMap::<Batch, Vec<_>>::new();
        for (region, row) in
            world.regions.iter().enumerate().flat_map(|(id, it)| it.orders.rows.values().map(move |row| (id, row)))
        {
            if row.cart != *cart || matches!(row.order.state, OrderState::Rejected(_)) {
                continue;
            }
            for line in &row.order.lines {
                for units in line.prices.iter() {
                    let batch = (line.offer.clone(), units.unit_price_minor);
                    let added = history.added.get(&batch).copied().unwrap_or_default();
                    require(i64::try_from(added) == Ok(units.quantity), Verdict::Cart, || {
                        format!("order {} has {} {batch:?} of {added} in cart {cart}", row.order.id, units.quantity)
                    })?;
                    ordered.entry(batch).or_default().push((region, row.order.id, row.request));
                }
            }
        }
        for (batch, orders) in &ordered {
            let is_apart = orders.len() == 1 || orders.iter().any(|(_, _, request)| world.told.away.contains(request));
            require(is_apart, Verdict::Cart, || {
                format!("{batch:?} of cart {cart} was ordered as {orders:?} though its owner's home was there")
            })?;
            let regions: BTreeSet<_> = orders.iter().map(|(region, _, _)| region).collect();
            require(regions.len() == orders.len(), Verdict::Cart, || {
                format!("one region ordered {batch:?} of cart {cart} twice: {orders:?}")
            })?;
        }
        let left: BTreeMap<&Batch, u64> = history
            .added
            .iter()
            .filter(|(batch, _)| !ordered.contains_key(*batch) && !history.removed.contains(*batch))
            .map(|(batch, units)| (batch, *units))
            .collect();
        for (id, region) in world.regions.iter().enumerate() {
            let lines = region.carts.visible_lines(*cart);
            let shown: Vec<(Batch, u64)> = batches(&lines).collect();
            let shown: BTreeMap<&Batch, u64> = shown.iter().map(|(batch, units)| (batch, *units)).collect();
            require(shown == left, Verdict::Cart, || {
                format!("cart {cart} of region {id} shows {shown:?}, its history leaves {left:?}")
            })?;
        }
        let states: Vec<_> = world.regions.iter().map(|region| region.carts.carts.get(cart)).collect();
        require(states.windows(2).all(|two| two[0] == two[1]), Verdict::Cart, || {
            format!("cart {cart} differs between the regions: {states:?}")
        })?;
    }
    Ok(())
}

/// How checkouts that overlapped ended, and what was ordered in both regions.
pub fn see_ends(world: &mut World) {
    let mut seen = Vec::new();
    let all = &world.regions[0].carts.checkouts;
    for (order, second) in all {
        for first in second.over.iter().filter_map(|first| all.get(first)) {
            seen.push(match (first.state, second.state) {
                (CheckoutState::Ordered, CheckoutState::Ordered) => Seen::BothPlaced,
                (CheckoutState::Ordered, _) => Seen::SecondRejected,
                (_, CheckoutState::Ordered) => Seen::FirstRejected,
                _ => Seen::BothRejected,
            });
        }
        let others = all.range(..order).filter(|(_, other)| other.cart == second.cart);
        for (_, other) in
            others.filter(|(_, other)| (other.state, second.state) == (CheckoutState::Ordered, CheckoutState::Ordered))
        {
            if !ordered_twice(&other.taken, &second.taken).is_empty() {
                seen.push(Seen::OrderedTwice);
            }
        }
    }
    seen.into_iter().for_each(|what| world.saw(what));
}
