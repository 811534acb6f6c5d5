//! Units of carts: none appears, none vanishes. Per cart and offer, what was added is still in the cart, or was taken by an order that was
//! not rejected, or was removed by the shopper.
//!
//! An entry numbers its units (see the crate `crdt`), and whoever takes some names their numbers. So this is no matter of sums, in which two
//! mistakes cancel out: each unit is followed. Three parts:
//!
//! 1. **A cut is its order.** The units that the cut of a checkout takes of each offer are those of its order's lines. Wherever a cut is
//!    stored. Together with the check `carts`, by which exactly the orders that were not rejected have a checkout whose cut is joined, this
//!    says that no order took a unit more or less from its cart than was ordered.
//! 2. **No unit is in two orders unless both shoppers are told.** Of cuts of which neither shopper had seen the other's, the units that both
//!    take are kept as ordered twice; of others none is in both. So the units that left a cart for its orders are those of the orders, less
//!    those ordered twice.
//! 3. **Added = in the cart + ordered + removed.** For a cart whose whole history is still in the logs of the two regions. Each operation of
//!    a cart takes a dot, so the history is whole when the logs have the operation of every dot that the cart has seen. Undecided
//!    checkouts leave their units in the cart, rejected ones take none.
//!
//! And each operation that is in a log is in the cart, whether its history is whole or not.
//!
//! A cart of which a person mended a line that neither region could read (`backbone cart mend`) has lost units, and is counted apart.
//!
//! What it cannot tell: a log is trimmed after a day, so of an older cart it is not known what its shopper removed, and a unit that was lost
//! from it looks like one of those. The removal of an entry that was taken whole says that nothing of it is left and not how much there was,
//! so a unit that was lost from an entry *before* its shopper removed the entry looks removed. What a shopper asked for and what was decided
//! are compared nowhere: requests are kept as digests.
//!
//! The state that is looked at is the join of both regions' carts: what they come to once they have talked. So it holds also while the link is
//! cut; that each region has come to it is the check `carts in both regions`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crdt::codec::{decode_context, decode_delta};
use crdt::{Dot, Kind, Line, Parts, ReplicaId};
use ids::{CartId, OrderId};

use super::carts::{Cut, Snapshot, State, state};
use crate::audit::both::Both;
use crate::audit::report::Examined;
use crate::audit::sources::carts::{Carts, Checkout, CheckoutState, Logged, Mend, Twice};
use crate::audit::sources::orders::{Order, Orders};

/// Checks the units of every cart.
pub fn check(orders: Both<&Orders>, carts: Both<&Carts>) -> Examined {
    let mut examined = Examined::default();
    cuts(&mut examined, orders, carts);
    let placed = placed(carts);
    for (id, placed) in &placed {
        ordered_twice(&mut examined, carts, *id, placed);
    }
    let ids: BTreeSet<CartId> = carts.each().into_iter().flat_map(|(_, carts)| carts.carts.keys().copied()).collect();
    let none = Vec::new();
    for id in ids {
        // A cart that does not decode is named by the check `carts`.
        if lost_units(carts, id) {
            examined.count(1, "carts that lost units to a value that nobody could read");
        } else if let Some(state) = joined(carts, id) {
            history(&mut examined, carts, id, &state, placed.get(&id).unwrap_or(&none));
        }
    }
    examined
}

/// Each stored cut, against the order that it was made for.
fn cuts(examined: &mut Examined, orders: Both<&Orders>, carts: Both<&Carts>) {
    for (region, carts) in carts.each() {
        for (id, checkout) in carts.checkouts.iter().filter(|(_, checkout)| !checkout.cut.is_empty()) {
            let known = [region, region.peer()].into_iter().find_map(|home| orders.of(home).orders.get(id));
            // One that does not decode is named by the check `carts`; an order may have been refused before it was stored.
            let (Some(order), Ok(cut)) = (known, decode_delta::<_, Snapshot, _>(&checkout.cut)) else { continue };
            examined.count(1, "cuts");
            let fault = takes_what_was_ordered(order, &cut);
            examined.require(fault.is_ok(), || {
                format!("{region} checkout of order {id}: {}", fault.err().unwrap_or_default())
            });
        }
    }
}

/// Whether a cut takes of each offer what its order's lines say: no unit leaves the cart for nothing, and none that was ordered stays.
fn takes_what_was_ordered(order: &Order, cut: &Cut) -> Result<(), String> {
    let ordered: BTreeMap<&str, i64> = order.lines.iter().map(|line| (line.offer.as_str(), line.quantity)).collect();
    let offers: BTreeSet<&str> = cut.lines.keys().map(String::as_str).chain(ordered.keys().copied()).collect();
    for offer in offers {
        let ordered = ordered.get(offer).copied().unwrap_or_default();
        let taken = cut.lines.get(offer).map_or(0, |line| line.taken_by_both(line));
        if i128::from(taken) != i128::from(ordered) {
            return Err(format!("its cut takes {taken} of {offer}, of which {ordered} are ordered"));
        }
    }
    Ok(())
}

/// A checkout whose order was placed, and its cut.
struct Placed<'a> {
    order: OrderId,
    checkout: &'a Checkout,
    cut: Cut,
}

/// Those of each cart, as the region that began them has them; a replica of one may be without its cut.
fn placed<'a>(carts: Both<&'a Carts>) -> BTreeMap<CartId, Vec<Placed<'a>>> {
    let mut placed: BTreeMap<CartId, Vec<Placed<'a>>> = BTreeMap::new();
    let is_ordered = |id: &OrderId| {
        carts
            .each()
            .iter()
            .any(|(_, carts)| carts.checkouts.get(id).is_some_and(|one| one.state == CheckoutState::Ordered))
    };
    for (_, carts) in carts.each() {
        for (order, checkout) in carts.checkouts.iter().filter(|(id, one)| one.begun_here && is_ordered(id)) {
            if let Ok(cut) = decode_delta(&checkout.cut) {
                placed.entry(checkout.cart).or_default().push(Placed { order: *order, checkout, cut });
            }
        }
    }
    placed
}

/// Whether the units in the cuts of two orders are those that are kept as ordered twice. What is kept may be more: an earlier version counted
/// otherwise.
fn ordered_twice(examined: &mut Examined, carts: Both<&Carts>, cart: CartId, placed: &[Placed<'_>]) {
    // Only cuts that name the same entry can name the same unit, and most carts have orders of different ones only.
    let mut by_entry: BTreeMap<Dot, Vec<usize>> = BTreeMap::new();
    for (at, one) in placed.iter().enumerate() {
        one.cut.lines.values().flat_map(Line::entries).for_each(|(dot, _)| by_entry.entry(dot).or_default().push(at));
    }
    let pairs: BTreeSet<(usize, usize)> = by_entry
        .values()
        .flat_map(|those| {
            those.iter().enumerate().flat_map(|(at, one)| those[at + 1..].iter().map(|other| (*one, *other)))
        })
        .collect();
    for (one, other) in pairs {
        let (one, other) = (&placed[one], &placed[other]);
        for (offer, line) in &one.cut.lines {
            let Some(theirs) = other.cut.lines.get(offer) else { continue };
            let charged = [one, other].map(|placed| placed.checkout.ordered.get(offer).copied().unwrap_or_default());
            let both = i64::try_from(line.taken_by_both(theirs)).unwrap_or(i64::MAX).min(charged[0]).min(charged[1]);
            let mut orders = [one.order, other.order];
            orders.sort();
            let [first, second] = orders;
            let twice: Twice = (cart, offer.clone(), first, second);
            let kept = carts.each().iter().filter_map(|(_, carts)| carts.twice.get(&twice)).max().copied();
            let known = if has_seen(one, other) || has_seen(other, one) { 0 } else { kept.unwrap_or_default() };
            examined.require(both <= known, || {
                format!(
                    "cart {cart}: orders {first} and {second} both took the same {both} of {offer}, of which {known} are \
                     kept as ordered twice"
                )
            });
        }
    }
}

/// Whether the shopper of `one` had seen that `other` was begun.
fn has_seen(one: &Placed<'_>, other: &Placed<'_>) -> bool {
    decode_context(&one.checkout.seen).is_ok_and(|seen| seen.contains(other.checkout.operation))
}

/// Whether a line of it was dropped that neither region could read.
fn lost_units(carts: Both<&Carts>, id: CartId) -> bool {
    let mends = carts.each().into_iter().flat_map(|(_, carts)| &carts.mends);
    mends.filter(|mend| mend.cart_id == id.as_uuid() && mend.value.starts_with("line ")).any(Mend::is_loss)
}

/// What both regions' carts come to.
fn joined(carts: Both<&Carts>, id: CartId) -> Option<State> {
    let stored = carts.each().into_iter().filter_map(|(_, carts)| carts.carts.get(&id));
    let states: Vec<State> = stored.map(state).collect::<Result<_, _>>().ok()?;
    states.into_iter().reduce(|mut one, other| {
        one.join(&other);
        one
    })
}

/// What the logs say became of an entry's units.
#[derive(Debug, Default)]
struct Fate {
    offer: String,
    added: u64,
    ordered: Parts,
    removed: Parts,
}

impl Fate {
    fn remove_all(&mut self) {
        self.removed = Parts::first(u64::MAX);
    }
}

/// An operation that a log holds.
struct Done<'a> {
    logged: &'a Logged,
    delta: Cut,
}

/// Replays what the logs hold of a cart.
fn history(examined: &mut Examined, carts: Both<&Carts>, id: CartId, state: &State, placed: &[Placed<'_>]) {
    let mut done: BTreeMap<ReplicaId, Vec<(u64, Done<'_>)>> = BTreeMap::new();
    for logged in carts.each().into_iter().flat_map(|(_, carts)| carts.log.get(&id)).flatten() {
        let key = &logged.key;
        let delta: Cut = match decode_delta(&logged.delta) {
            Ok(delta) => delta,
            Err(error) => {
                examined.require(false, || format!("cart {id}: operation {key} does not decode: {error}"));
                continue;
            }
        };
        examined.require(state.context().covers(&delta.context), || {
            format!("cart {id}: operation {key} is in the log and not in the cart")
        });
        // Its own dot, if it took one, is above whatever else of its replica it names.
        let counter = delta.context.greatest(logged.replica);
        done.entry(logged.replica).or_default().push((counter, Done { logged, delta }));
    }
    done.values_mut().for_each(|operations| operations.sort_by_key(|(counter, _)| *counter));
    if !is_whole(state, &done) {
        examined.count(1, "carts whose history is not whole");
        return;
    }
    examined.count(1, "carts with their whole history");
    let mut fates: BTreeMap<Dot, Fate> = BTreeMap::new();
    // All additions first: a region may have taken units of the other one's entries.
    done.values().flatten().for_each(|(_, done)| additions(&mut fates, done));
    let mut grown = BTreeMap::new();
    done.values().flatten().for_each(|(counter, done)| removals(&mut fates, &mut grown, *counter, done));
    for placed in placed {
        for (dot, entry) in placed.cut.lines.values().flat_map(Line::entries) {
            fates.entry(dot).or_default().ordered.join(&entry.gone);
        }
    }
    balance(examined, id, state, fates);
}

/// Whether there is the operation of every dot that the cart has seen. What is dropped when it is spent takes no dot, and may name that
/// of an operation which is trimmed.
fn is_whole(state: &State, done: &BTreeMap<ReplicaId, Vec<(u64, Done<'_>)>>) -> bool {
    let context = state.context();
    let all_there = |dot: &Dot| {
        let operations = done.get(&dot.replica).into_iter().flatten();
        let took_a_dot = operations.filter(|(counter, done)| *counter > 0 && !done.logged.key.starts_with("retired:"));
        took_a_dot.map(|(counter, _)| *counter).collect::<BTreeSet<u64>>().len() as u64 == dot.counter
    };
    context.cloud().is_empty() && context.vector().iter().all(all_there)
}

fn is_edit(done: &Done<'_>) -> bool {
    done.logged.key.starts_with("client:")
}

/// The units that an edit added: only its owner adds to an entry.
fn additions(fates: &mut BTreeMap<Dot, Fate>, done: &Done<'_>) {
    if !is_edit(done) {
        return;
    }
    for (offer, line) in &done.delta.lines {
        for (dot, entry) in line.entries().filter(|(dot, _)| dot.replica == done.logged.replica) {
            let fate = fates.entry(dot).or_default();
            fate.offer.clone_from(offer);
            fate.added = fate.added.max(entry.added());
        }
    }
}

/// The units that an edit took. An add takes none: it names an entry that has grown, with what was gone of it before, and drops those of its
/// own that were spent. What a set or a removal names as gone it took, and what it drops it took whole.
///
/// `grown`: how many units the entries had that its region's edits before this one had added to.
fn removals(fates: &mut BTreeMap<Dot, Fate>, grown: &mut BTreeMap<Dot, u64>, counter: u64, done: &Done<'_>) {
    if !is_edit(done) {
        return;
    }
    let replica = done.logged.replica;
    let entries: BTreeMap<Dot, _> = done.delta.lines.values().flat_map(Line::entries).collect();
    let mut is_add = false;
    for (dot, entry) in entries.iter().filter(|(dot, entry)| dot.replica == replica && entry.kind == Kind::Add) {
        let known = grown.insert(*dot, entry.added()).unwrap_or_default();
        is_add |= entry.added() > known;
    }
    if is_add {
        return;
    }
    for (dot, entry) in &entries {
        fates.entry(*dot).or_default().removed.join(&entry.gone);
    }
    let operation = Dot::new(replica, counter);
    for (dot, fate) in fates.iter_mut() {
        if *dot != operation && done.delta.context.contains(*dot) && !entries.contains_key(dot) {
            fate.remove_all();
        }
    }
}

/// What became of an offer's units, and what of it cannot be.
#[derive(Default)]
struct Balance {
    added: u64,
    in_cart: u64,
    ordered: u64,
    removed: u64,
    vanished: u64,
    ordered_and_there: u64,
    removed_and_there: u64,
    added_by_nobody: u64,
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, in_cart, ordered, removed, .. } = self;
        write!(f, "{added} were added, {in_cart} are in the cart, {ordered} ordered and {removed} removed")?;
        for (units, what) in [
            (self.vanished, "vanished: neither an order nor the shopper took them"),
            (self.ordered_and_there, "are in the cart though an order took them"),
            (self.removed_and_there, "are in the cart though the shopper removed them"),
            (self.added_by_nobody, "were added by nobody"),
        ] {
            if units > 0 {
                write!(f, "; {units} {what}")?;
            }
        }
        Ok(())
    }
}

/// Holds what became of each unit against what is there.
fn balance(examined: &mut Examined, id: CartId, state: &State, mut fates: BTreeMap<Dot, Fate>) {
    let mut stored = BTreeMap::new();
    for (offer, line) in state.lines() {
        for (dot, entry) in line.entries() {
            let fate = fates.entry(dot).or_default();
            fate.offer.clone_from(offer);
            stored.insert(dot, (entry.live(), entry.added()));
        }
    }
    let mut balances: BTreeMap<String, Balance> = BTreeMap::new();
    for (dot, fate) in fates {
        let (live, there) = stored.remove(&dot).unwrap_or_default();
        let all = Parts::first(fate.added);
        let (ordered, removed) = (fate.ordered.common(&all), fate.removed.common(&all));
        let mut taken = ordered.clone();
        taken.join(&removed);
        let mut accounted = taken.clone();
        accounted.join(&live);
        let beyond = [there, live.end(), fate.ordered.end()].into_iter().max().unwrap_or_default();
        let balance = balances.entry(fate.offer).or_default();
        balance.added += fate.added;
        balance.in_cart += live.units();
        balance.ordered += ordered.units();
        balance.removed += taken.units() - ordered.units();
        balance.vanished += accounted.rest_of(fate.added).units();
        balance.ordered_and_there += live.common(&ordered).units();
        balance.removed_and_there += live.common(&removed).units();
        balance.added_by_nobody += beyond.saturating_sub(fate.added);
    }
    for (offer, balance) in balances {
        examined.count(usize::try_from(balance.added).unwrap_or(usize::MAX), "units");
        let wrong = [balance.vanished, balance.ordered_and_there, balance.removed_and_there, balance.added_by_nobody];
        examined.require(wrong == [0; 4], || format!("cart {id}: of {offer} {balance}"));
    }
}

#[cfg(test)]
#[path = "conserved_tests.rs"]
mod tests;
