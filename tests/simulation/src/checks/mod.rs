//! What must hold: the audit's checks, file by file, after every step for what the step touched, and for everything at the end.
//!
//! The audit looks at a system at rest and so may ask for more than holds in between; what is under way is allowed for here, as the
//! audit itself allows for what is in flight.

mod carts;
mod charged;
mod events;
mod intention;
mod ledger;
mod orders;
mod settled;
mod stock;

use ids::OrderId;
use order::domain::OrderState;

use crate::Verdict;
use crate::coverage::Seen;
use crate::world::{RegionId, World};

pub use carts::History;
pub use charged::lines as shown_lines;
pub use settled::unsettled;

/// A fault that a check found.
type Fault = (Verdict, String);

/// Checks what the last step touched.
pub fn after_each_step(world: &mut World) {
    while let Some((region, order)) = world.touched.pop_first() {
        judge(world, region, order);
    }
    if std::mem::take(&mut world.stock_touched)
        && let Err((verdict, what)) = stock::check(world)
    {
        world.fail(verdict, what);
    }
}

fn judge(world: &mut World, region: RegionId, id: OrderId) {
    let found = orders::check(world, region, id)
        .and_then(|()| charged::check(world, region, id))
        .and_then(|()| ledger::check(world, region, id))
        .and_then(|()| events::check(world, region, id))
        .and_then(|()| acknowledged(world, region, id));
    if let Err((verdict, what)) = found {
        world.fail(verdict, format!("order {id}: {what}"));
    }
}

/// No acknowledged order is lost, and a request makes one order.
fn acknowledged(world: &World, region: RegionId, id: OrderId) -> Result<(), Fault> {
    let rows = &world.regions[region].orders.rows;
    if let Some(row) = rows.get(&id) {
        let same = rows.values().filter(|other| other.request == row.request).count();
        require(same == 1, Verdict::Acknowledged, || format!("its request {} made {same} orders", row.request))?;
    }
    let state = world.regions[region].orders.rows.get(&id).map(|row| &row.order.state);
    let was_placed = matches!(state, Some(OrderState::Placed | OrderState::Shipped | OrderState::Cancelled));
    require(was_placed || !world.told.placed.contains_key(&id), Verdict::Acknowledged, || {
        format!("acknowledged as placed, and is {state:?}")
    })?;
    require(state == Some(&OrderState::Cancelled) || !world.told.cancelled.contains(&id), Verdict::Acknowledged, || {
        format!("acknowledged as cancelled, and is {state:?}")
    })
}

fn require(holds: bool, verdict: Verdict, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err((verdict, what())) }
}

/// Everything once more, at rest, and how the orders ended.
pub fn at_the_end(world: &mut World) {
    for region in 0..world.regions.len() {
        let orders: Vec<OrderId> = world.regions[region].orders.rows.keys().copied().collect();
        let payments: Vec<OrderId> = world.regions[region].payments.rows.keys().copied().collect();
        world.report.orders += orders.len() as u64;
        for id in orders.iter().chain(&payments) {
            judge(world, region, *id);
            if let Err((verdict, what)) =
                intention::at_home(region, *id).and_then(|()| orders::at_rest(world, region, *id))
            {
                world.fail(verdict, format!("order {id} at rest: {what}"));
            }
        }
        orders.iter().for_each(|id| see_end(world, region, *id));
    }
    if let Err((verdict, what)) = intention::check(world).and_then(|()| carts::check(world)) {
        world.fail(verdict, what);
    }
    carts::see_ends(world);
    let all = world.regions.iter().flat_map(|region| region.orders.returns.keys());
    let returns: std::collections::BTreeSet<_> = all.copied().collect();
    if let Some(lost) = world.told.returned.difference(&returns).next().copied() {
        world.fail(Verdict::Acknowledged, format!("return {lost} was acknowledged and is not there"));
    }
}

fn see_end(world: &mut World, region: RegionId, id: OrderId) {
    let order = &world.regions[region].orders.rows[&id].order;
    let (refunded, total) = (order.refunded_minor, order.total.minor_units());
    let seen = match &order.state {
        OrderState::Shipped => Seen::Captured,
        OrderState::Cancelled => Seen::Cancelled,
        OrderState::Pending | OrderState::Compensating(_) | OrderState::Placed | OrderState::Rejected(_) => return,
    };
    world.saw(seen);
    if !world.told.placed.contains_key(&id) {
        world.saw(Seen::Unattended);
    }
    if refunded > 0 {
        world.saw(if refunded == total { Seen::RefundedWhole } else { Seen::RefundedInPart });
    }
}
