//! `services/cart`, as far as orders need it.

use ids::OrderId;
use order::domain::Fate;

use super::{Me, order as orders};
use crate::SECOND;
use crate::consumer::Consumer;
use crate::coverage::Seen;
use crate::runtime::Sim;
use crate::spine::{Lost, Topic, statement};
use crate::stores::carts::CheckoutState;

/// `workers::placed_orders`.
pub const PLACED_ORDERS: Consumer = Consumer {
    group: "cart",
    topics: &[Topic::OrderPlaced],
    effect: |world, at, event| world.regions[at].carts.consume(event.order),
};

/// `BeginCheckout`. Key: the request's.
pub async fn begin_checkout(sim: Sim, me: Me, request: u64, new_order: OrderId) -> Result<OrderId, Lost> {
    statement(&sim, |world| {
        let order = world.regions[me.region].carts.begin(request, new_order, world.now);
        world.touch(me.region, order);
        order
    })
    .await
}

/// `AbandonCheckout`. Key: the order.
pub async fn abandon_checkout(sim: Sim, me: Me, order: OrderId) -> Result<(), Lost> {
    statement(&sim, |world| {
        let carts = &mut world.regions[me.region].carts;
        let was_undecided = carts.checkouts.get(&order).is_some_and(|it| it.state == CheckoutState::Undecided);
        carts.abandon(order);
        world.touch(me.region, order);
        let has_row = world.regions[me.region].orders.rows.contains_key(&order);
        if was_undecided && !has_row {
            world.saw(Seen::LateCut);
        }
    })
    .await
}

/// `workers::overdue_checkouts`: the time-out is longer than an order may be undecided, so an order unknown by then never is.
pub async fn settle_overdue(sim: Sim, me: Me) {
    loop {
        sim.sleep(2 * SECOND).await;
        let overdue = sim.with(|world| {
            let before = world.now.saturating_sub(world.plan.placement_limit + 5 * SECOND);
            world.regions[me.region].carts.overdue(before)
        });
        for order in overdue {
            match orders::ask_fate(&sim, me, order).await {
                Some(None | Some(Fate::Ended)) => drop(abandon_checkout(sim.clone(), me, order).await),
                Some(Some(Fate::Placed | Fate::Undecided)) => {}
                None => break,
            }
        }
    }
}
