//! `begin.rs`: how a request becomes an order, or finds the one it made before.

use std::rc::Rc;
use std::time::Duration;

use ids::OrderId;
use order::domain::{CardToken, Order, OrderState, Refusal, RefusalKind};
use order::sagas::place_order::PLAN;

use super::CALL_MAX;
use super::drive::{Placing, Turn, placing, turn};
use crate::coverage::Seen;
use crate::network::call;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::services::{Me, cart};
use crate::spine::{Lost, statement};
use crate::world::{Service, date};
use crate::{MILLISECOND, Micros};

/// What a shopper asks for, with its key.
pub struct PlaceRequest {
    /// The key: unique.
    pub number: u64,
    pub card: CardToken,
    /// The order that the cut makes, but for its id.
    pub draft: Order,
}

/// What a shopper is told.
#[derive(Clone, Debug)]
pub enum PlaceAnswer {
    Placed(OrderId),
    /// It is driven on without the caller.
    Undecided,
    Refused(Refusal),
    /// Nothing is known; the same request may be sent again.
    Unavailable,
}

/// `PlaceOrder::place`.
pub async fn place(sim: Sim, me: Me, request: Rc<PlaceRequest>, until: Micros) -> PlaceAnswer {
    place_or_lost(&sim, me, &request, until).await.unwrap_or(PlaceAnswer::Unavailable)
}

async fn place_or_lost(sim: &Sim, me: Me, request: &Rc<PlaceRequest>, until: Micros) -> Result<PlaceAnswer, Lost> {
    if let Some(known) = known_request(sim, me, request) {
        return settle(sim, me, known, request, until).await;
    }
    let (number, new_order) = (request.number, sim.with(|world| world.new_order_id()));
    let key = sim.with(|world| if world.removed(Sabotage::RequestKey) { world.number() } else { number });
    let cut = call(sim, (me.region, me.region), Service::Cart, CALL_MAX, move |sim, there| {
        cart::begin_checkout(sim, there, key, new_order)
    });
    let Some(Ok(id)) = cut.await else { return Ok(PlaceAnswer::Unavailable) };
    let order = Order { id, created_at: date(sim.now()), ..request.draft.clone() };
    let limit = sim.with(|world| world.plan.placement_limit);
    let not_after = deadline(&order, limit);
    let stored = statement(sim, |world| world.insert_pending(me.region, (&order, number), &request.card, not_after));
    if let Some(fence) = stored.await? {
        let placing = Placing { state: PLAN.start(), card: Some(request.card.clone()), fence, order };
        return Ok(match turn(sim, me, placing, until).await? {
            Turn::Placed => PlaceAnswer::Placed(id),
            Turn::Rejected(refusal) => PlaceAnswer::Refused(refusal),
            Turn::Undecided => PlaceAnswer::Undecided,
            Turn::Superseded => return settle(sim, me, id, request, until).await,
        });
    }
    if let Some(known) = known_request(sim, me, request) {
        return settle(sim, me, known, request, until).await;
    }
    // The cut came too late to be an order.
    let abandon = move |sim, there| cart::abandon_checkout(sim, there, id);
    match call(sim, (me.region, me.region), Service::Cart, CALL_MAX, abandon).await {
        Some(Ok(())) => {
            Ok(PlaceAnswer::Refused(Refusal::new(RefusalKind::FailedPrecondition, "CHECKOUT_EXPIRED", "too late")))
        }
        _ => Ok(PlaceAnswer::Unavailable),
    }
}

fn known_request(sim: &Sim, me: Me, request: &PlaceRequest) -> Option<OrderId> {
    sim.with(|world| {
        let is_unkeyed = world.removed(Sabotage::RequestKey);
        let known = world.regions[me.region].orders.by_request.get(&request.number).copied().filter(|_| !is_unkeyed);
        if known.is_some() {
            world.saw(Seen::KnownRequest);
        }
        known
    })
}

/// When the order's time is up, by its own rule.
pub(super) fn deadline(order: &Order, limit: Micros) -> Micros {
    let at = order.placement_deadline(Duration::from_micros(limit));
    let since = at.signed_duration_since(date(0)).num_microseconds().unwrap_or(i64::MAX);
    Micros::try_from(since).unwrap_or(0)
}

/// `begin::settle`: waits until it is decided, and drives it if nobody else does.
async fn settle(sim: &Sim, me: Me, id: OrderId, request: &PlaceRequest, until: Micros) -> Result<PlaceAnswer, Lost> {
    loop {
        let state = sim.with(|world| world.regions[me.region].orders.rows[&id].order.state.clone());
        match state {
            OrderState::Rejected(refusal) => return Ok(PlaceAnswer::Refused(refusal)),
            OrderState::Pending | OrderState::Compensating(_) if sim.now() < until => {}
            OrderState::Pending | OrderState::Compensating(_) => return Ok(PlaceAnswer::Undecided),
            OrderState::Placed | OrderState::Shipped | OrderState::Cancelled => return Ok(PlaceAnswer::Placed(id)),
        }
        let claimed = statement(sim, |world| world.claim_order(me.region, id)).await?;
        if let Some(claimed) = claimed
            && let Some(placing) = placing(claimed)
        {
            debug_assert_eq!(placing.order.cart, request.draft.cart);
            turn(sim, me, placing, until).await?;
            continue;
        }
        let pause = sim.random(0..300 * MILLISECOND);
        sim.sleep(pause).await;
    }
}
