//! Units that were ordered in both regions.

use std::collections::BTreeMap;

use crdt::{CausalContext, Dot};
use ids::{OfferId, OrderId};

use super::Item;

/// What a placed order took, and what its shopper had seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedCut {
    /// The order.
    pub order_id: OrderId,
    /// The checkout's own dot.
    pub operation: Dot,
    /// The version that was ordered.
    pub seen: CausalContext,
    /// Units by offer.
    pub lines: BTreeMap<OfferId, u64>,
}

/// Units of an offer that two orders took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedTwice {
    /// The offer.
    pub offer_id: OfferId,
    /// Units, 1 or more.
    pub quantity: u64,
    /// The orders, the smaller id first.
    pub order_ids: [OrderId; 2],
}

/// Units that were ordered and were no longer there when the cut was joined: `before` and `after` are its lines' units around the join.
pub fn missing(
    ordered: &BTreeMap<OfferId, u64>,
    before: &BTreeMap<Item, u64>,
    after: &BTreeMap<Item, u64>,
) -> BTreeMap<OfferId, u64> {
    let missing = |(offer_id, ordered): (&OfferId, &u64)| {
        let item = Item(offer_id.clone());
        let there = before.get(&item).copied().unwrap_or_default();
        let left = after.get(&item).copied().unwrap_or_default();
        let units = ordered.saturating_sub(there.saturating_sub(left));
        (units > 0).then(|| (offer_id.clone(), units))
    };
    ordered.iter().filter_map(missing).collect()
}

/// Which of the `missing` units of `placed` another order took: one whose shopper did not know of it, nor it of theirs. What is missing
/// otherwise was removed by a shopper in the other region, and is nobody's double.
pub fn ordered_twice(placed: &PlacedCut, missing: &BTreeMap<OfferId, u64>, others: &[PlacedCut]) -> Vec<OrderedTwice> {
    let concurrent = |other: &&PlacedCut| {
        other.order_id != placed.order_id
            && !placed.seen.contains(other.operation)
            && !other.seen.contains(placed.operation)
    };
    let mut twice = Vec::new();
    for other in others.iter().filter(concurrent) {
        for (offer_id, units) in missing {
            let quantity = other.lines.get(offer_id).map_or(0, |theirs| *theirs.min(units));
            if quantity > 0 {
                let mut order_ids = [placed.order_id, other.order_id];
                order_ids.sort();
                twice.push(OrderedTwice { offer_id: offer_id.clone(), quantity, order_ids });
            }
        }
    }
    twice
}

#[cfg(test)]
mod tests {
    use crdt::ReplicaId;

    use super::*;

    fn placed(replica: u8, seen: &[Dot], mugs: u64) -> PlacedCut {
        PlacedCut {
            order_id: OrderId::from_uuid(uuid::Uuid::from_u128(replica.into())),
            operation: Dot::new(ReplicaId(replica), 9),
            seen: seen.iter().copied().collect(),
            lines: BTreeMap::from([("mug".parse().unwrap(), mugs)]),
        }
    }

    fn mugs(units: u64) -> BTreeMap<OfferId, u64> {
        BTreeMap::from([("mug".parse().unwrap(), units)])
    }

    #[test]
    fn what_neither_shopper_knew_of_the_other_is_twice_as_far_as_it_is_missing() {
        let (east, west) = (placed(1, &[], 5), placed(2, &[], 3));
        let twice = ordered_twice(&west, &mugs(2), std::slice::from_ref(&east));
        assert_eq!(twice.len(), 1);
        assert_eq!((twice[0].quantity, twice[0].order_ids), (2, [east.order_id, west.order_id]));
        assert_eq!(ordered_twice(&west, &mugs(3), &[placed(1, &[], 1)])[0].quantity, 1);
    }

    #[test]
    fn an_order_that_knew_of_the_other_orders_nothing_twice() {
        let east = placed(1, &[], 5);
        let west = placed(2, &[east.operation], 3);
        assert_eq!(ordered_twice(&west, &mugs(3), &[east, west.clone()]), []);
    }
}
