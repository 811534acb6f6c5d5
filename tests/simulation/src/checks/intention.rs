//! As the audit's `one home`: an order is in one region, its home, and one request stands as one order, over both regions.
//! And beyond it: a cart is ordered twice by what a region decided while it could not reach the home of its owner, and by nothing else.

use std::collections::BTreeMap;

use ids::OrderId;
use order::domain::{Fate, Order, OrderState};

use super::{Fault, require};
use crate::Verdict;
use crate::world::{RegionId, World, home_of};

/// What a region has of an order, its row or its payment, is of one of its own. At rest.
pub fn at_home(region: RegionId, id: OrderId) -> Result<(), Fault> {
    require(home_of(id) == region, Verdict::Home, || format!("is in region {region}, its home is {}", home_of(id)))
}

/// At rest.
pub fn check(world: &World) -> Result<(), Fault> {
    let mut placed = BTreeMap::<u64, Vec<&Order>>::new();
    for row in world.regions.iter().flat_map(|region| region.orders.rows.values()) {
        if row.order.state.fate() == Fate::Placed {
            placed.entry(row.request).or_default().push(&row.order);
        }
    }
    for (request, mut orders) in placed {
        orders.sort_by_key(|order| order.id);
        let standing: Vec<OrderId> = orders.iter().filter(|order| stands(order)).map(|order| order.id).collect();
        require(standing.len() <= 1, Verdict::Intention, || format!("request {request} stands as {standing:?}"))?;
        // The first stands unless its shopper has called it off; whatever came after it was undone in its favour.
        for later in &orders[1..] {
            let by = later.superseded_by;
            require(by == Some(orders[0].id) && !stands(later), Verdict::Intention, || {
                format!("{} of request {request} was superseded by {by:?}, not by {}", later.id, orders[0].id)
            })?;
        }
        let by = orders[0].superseded_by;
        require(by.is_none(), Verdict::Intention, || {
            format!("{} of request {request} came first and was superseded by {by:?}", orders[0].id)
        })?;
    }
    Ok(())
}

/// Whether something of it is left to its shopper, and paid for.
fn stands(order: &Order) -> bool {
    let is_left = order.refunded_minor < order.total.minor_units();
    matches!(order.state, OrderState::Placed | OrderState::Shipped) && is_left
}
