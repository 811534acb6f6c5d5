//! `sagas/one_intention.rs`, `workers/intentions.rs` and `grpc/peer/link.rs`: what two regions made of one request while they could not
//! talk. Who of the two is undone is the service's own rule, `judge`.

use std::rc::Rc;

use ids::OrderId;
use order::domain::{Fate, Link, OrderState, ReturnLine, Verdict, judge};

use super::CALL_MAX;
use super::after::{cancel_here, take_back_here};
use crate::coverage::Seen;
use crate::network::{call, delay};
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::services::Me;
use crate::spine::{Lost, statement};
use crate::stores::homes::Untold;
use crate::world::Service;
use crate::{MILLISECOND, Micros, SECOND};

/// `one_intention::AGAIN`.
const AGAIN: Micros = SECOND;
/// `one_intention::TOLD_ONCE_MORE_AFTER`, in proportion: longer than a request here takes to its first row, pauses of its process
/// included.
const TOLD_ONCE_MORE_AFTER: Micros = 20 * SECOND;

/// `peer::link::watch`: asks over the link, there and back, whether some process of the other region's order service is there.
pub async fn watch_peer(sim: Sim, me: Me) {
    let peer = 1 - me.region;
    loop {
        let there = delay(&sim);
        sim.sleep(there.min(SECOND / 2)).await;
        let is_asked = sim.with(|world| {
            let process = world.any_process(Service::Order, peer);
            let other = &world.processes[process];
            let is_there = other.is_up && other.paused_until <= world.now;
            is_there && !world.is_cut(me.region, peer) && !world.chance(world.plan.loss)
        });
        let back = delay(&sim);
        sim.sleep(back.min(SECOND / 2)).await;
        sim.with(|world| {
            if is_asked && !world.is_cut(peer, me.region) {
                world.processes[me.process].peer_answered_at = world.now;
            } else if world.link(me.process) == Link::Down {
                world.saw(Seen::PeerDown);
            }
        });
        let pause = sim.random(400 * MILLISECOND..600 * MILLISECOND);
        sim.sleep(pause).await;
    }
}

/// `workers::intentions`.
pub async fn settle_intentions(sim: Sim, me: Me) {
    loop {
        let pause = sim.random(SECOND / 2..2 * SECOND);
        sim.sleep(pause).await;
        for untold in sim.with(|world| world.take_untold(me.region)) {
            let _ = tell_home(&sim, me, untold).await;
        }
        for (order, request) in sim.with(|world| world.take_superseded(me.region)) {
            let again = if undo(&sim, me, order, request).await.unwrap_or(false) { None } else { Some(AGAIN) };
            let _ = statement(&sim, |world| world.looked_at_superseded(me.region, order, again)).await;
        }
    }
}

/// `OneIntention::tell_home`.
async fn tell_home(sim: &Sim, me: Me, untold: Untold) -> Result<(), Lost> {
    let Untold { order, request, fate, told_home_at } = untold;
    let tell = move |sim, there| told(sim, there, request, (order, fate));
    let Some(Ok(theirs)) = call(sim, (me.region, 1 - me.region), Service::Order, CALL_MAX, tell).await else {
        return statement(sim, |world| world.not_told_home(me.region, order, AGAIN)).await;
    };
    let verdict = theirs.map(|theirs| judge((order, fate), theirs));
    if let (Some(Verdict::Undo), Some((theirs, _))) = (verdict, theirs) {
        supersede(sim, me, order, theirs).await?;
    }
    let is_undecided = fate == Fate::Undecided || verdict == Some(Verdict::Wait);
    let again = match told_home_at {
        _ if is_undecided => Some(AGAIN),
        _ if theirs.is_some() => None,
        Some(first) if sim.now() >= first + TOLD_ONCE_MORE_AFTER => None,
        _ => Some(TOLD_ONCE_MORE_AFTER),
    };
    statement(sim, |world| world.told_home(me.region, order, again)).await
}

/// `OneIntention::told`.
async fn told(sim: Sim, me: Me, request: u64, theirs: (OrderId, Fate)) -> Result<Option<(OrderId, Fate)>, Lost> {
    let ours = statement(&sim, |world| world.note_decided_away(me.region, request, theirs.0)).await?;
    if let Some(ours) = ours
        && judge(ours, theirs) == Verdict::Undo
    {
        supersede(&sim, me, ours.0, theirs.0).await?;
    }
    Ok(ours)
}

async fn supersede(sim: &Sim, me: Me, order: OrderId, by: OrderId) -> Result<(), Lost> {
    if sim.with(|world| world.removed(Sabotage::OneIntention)) {
        return Ok(());
    }
    statement(sim, |world| world.supersede(me.region, order, by)).await
}

/// `OneIntention::undo`.
async fn undo(sim: &Sim, me: Me, id: OrderId, request: u64) -> Result<bool, Lost> {
    let (state, left) = sim.with(|world| {
        let order = &world.regions[me.region].orders.rows[&id].order;
        let left = order.lines.iter().filter(|line| line.quantity() > line.returned_quantity);
        let left = left
            .map(|line| ReturnLine { offer: line.offer.clone(), quantity: line.quantity() - line.returned_quantity });
        (order.state.clone(), left.collect::<Vec<_>>())
    });
    match state {
        OrderState::Cancelled | OrderState::Rejected(_) => Ok(true),
        OrderState::Pending | OrderState::Compensating(_) => Ok(false),
        OrderState::Placed => {
            let is_cancelled = cancel_here(sim.clone(), me, id).await == Some(true);
            if is_cancelled {
                sim.saw(Seen::SupersededCancelled);
            }
            Ok(is_cancelled)
        }
        OrderState::Shipped if left.is_empty() => Ok(true),
        OrderState::Shipped => {
            let is_taken_back = take_back_here(sim.clone(), me, (id, request), Rc::new(left)).await?.is_ok();
            if is_taken_back {
                sim.saw(Seen::SupersededReturned);
            }
            Ok(is_taken_back)
        }
    }
}
