//! Units that were ordered in both regions.

use std::collections::BTreeMap;

use crdt::{CausalContext, Dot};
use ids::{OfferId, OrderId};

use super::{CartDelta, ORDERED_TWICE_MAX};

/// What a placed order took, and what its shopper had seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedCut {
    /// The order.
    pub order_id: OrderId,
    /// The checkout's own dot.
    pub operation: Dot,
    /// The version that was ordered.
    pub seen: CausalContext,
    /// Which units of which entries it took.
    pub cut: CartDelta,
    /// Units by offer: what was charged.
    pub lines: BTreeMap<OfferId, u64>,
}

/// Units of an offer that two orders took.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderedTwice {
    /// The offer.
    pub offer_id: OfferId,
    /// Units, 1 or more.
    pub quantity: u64,
    /// The orders, the smaller id first.
    pub order_ids: [OrderId; 2],
}

/// What two orders took both, of which neither shopper knew of the other: the very units that are in both cuts. Computed from the cuts alone
/// and not from what a join finds, so both regions come to the same, in whichever order they learn of the two.
///
/// (Of orders that knew of each other the later cut holds nothing of the earlier one. They are left out because cuts that an earlier
/// version of this code stored do name units of orders before them.)
pub fn ordered_twice(one: &PlacedCut, other: &PlacedCut) -> Vec<OrderedTwice> {
    let mut order_ids = [one.order_id, other.order_id];
    order_ids.sort();
    if one.order_id == other.order_id || one.seen.contains(other.operation) || other.seen.contains(one.operation) {
        return Vec::new();
    }
    let twice = one.cut.lines.iter().filter_map(|(item, ours)| {
        let taken = ours.taken_by_both(other.cut.lines.get(item)?);
        let charged = |cut: &PlacedCut| cut.lines.get(&item.0).copied().unwrap_or_default();
        let quantity = taken.min(charged(one)).min(charged(other));
        (quantity > 0).then(|| OrderedTwice { offer_id: item.0.clone(), quantity, order_ids })
    });
    twice.collect()
}

/// Of what two orders took, what is shown: all of it, or that of the newest orders, as much as a cart has room for. In the order in
/// which it is given.
pub fn newest(twice: &[OrderedTwice]) -> Vec<&OrderedTwice> {
    let mut shown: Vec<(usize, &OrderedTwice)> = twice.iter().enumerate().collect();
    if shown.len() > ORDERED_TWICE_MAX {
        // An order's id begins with its time.
        shown.sort_by_key(|(_, twice)| std::cmp::Reverse(twice.order_ids[1]));
        shown.truncate(ORDERED_TWICE_MAX);
        shown.sort_unstable_by_key(|(at, _)| *at);
    }
    shown.into_iter().map(|(_, twice)| twice).collect()
}

#[cfg(test)]
mod tests {
    use crdt::ReplicaId;
    use money::Money;

    use super::*;
    use crate::domain::{CartState, Item, Snapshot};

    const EAST: ReplicaId = ReplicaId(1);
    const WEST: ReplicaId = ReplicaId(2);

    fn mug() -> Item {
        Item("mug".parse().unwrap())
    }

    fn add(state: &mut CartState, replica: ReplicaId, units: u64) {
        let unit_price = Money::new(250, "GBP".parse().unwrap());
        let snapshot = Snapshot { unit_price, seller_id: "potters".parse().unwrap(), title: "Mug".to_owned() };
        state.add(replica, mug(), units, snapshot).unwrap();
    }

    fn order(state: &mut CartState, replica: ReplicaId, number: u128) -> PlacedCut {
        let (operation, cut) = state.cut(replica).unwrap();
        let lines = state.visible().map(|(item, units)| (item.0.clone(), units)).collect();
        let seen = state.context().clone();
        state.join_delta(&CartDelta::tick(operation));
        state.join_delta(&cut);
        PlacedCut { order_id: OrderId::from_uuid(uuid::Uuid::from_u128(number)), operation, seen, cut, lines }
    }

    fn twice(one: &PlacedCut, other: &PlacedCut) -> Vec<u64> {
        assert_eq!(ordered_twice(one, other), ordered_twice(other, one), "the same from both sides");
        ordered_twice(one, other).into_iter().map(|twice| twice.quantity).collect()
    }

    fn both_have_seen_two() -> [CartState; 2] {
        let mut east = CartState::default();
        add(&mut east, EAST, 2);
        [east.clone(), east]
    }

    #[test]
    fn units_in_both_cuts_are_twice_and_those_that_one_alone_had_seen_are_not() {
        let [mut east, mut west] = both_have_seen_two();
        add(&mut east, EAST, 3);
        add(&mut west, WEST, 4);
        assert_eq!(twice(&order(&mut east, EAST, 1), &order(&mut west, WEST, 2)), [2]);
    }

    #[test]
    fn a_line_that_was_removed_and_added_anew_is_not_the_one_that_the_other_region_ordered() {
        let [mut east, mut west] = both_have_seen_two();
        east.remove(EAST, mug()).unwrap();
        add(&mut east, EAST, 2);
        assert_eq!(twice(&order(&mut east, EAST, 1), &order(&mut west, WEST, 2)), [0; 0]);
    }

    #[test]
    fn what_the_newest_orders_took_is_shown_when_there_is_no_room_for_all() {
        let order = |number: usize| OrderId::from_uuid(uuid::Uuid::from_u128(number as u128));
        let of = |number: usize| OrderedTwice { offer_id: mug().0, quantity: 1, order_ids: [order(0), order(number)] };
        let known: Vec<_> = [2, 1].into_iter().chain(3..=ORDERED_TWICE_MAX + 1).map(of).collect();
        let shown: Vec<_> = known.iter().filter(|twice| **twice != of(1)).collect();
        assert_eq!(newest(&known), shown);
        assert_eq!(newest(&known[1..]).len(), ORDERED_TWICE_MAX);
    }

    #[test]
    fn an_order_that_knew_of_the_other_orders_nothing_twice() {
        let [mut east, mut west] = both_have_seen_two();
        let first = order(&mut east, EAST, 1);
        west.join(&east);
        add(&mut west, WEST, 2);
        assert_eq!(twice(&first, &order(&mut west, WEST, 2)), [0; 0]);
    }
}
