//! `services/inventory`: reserve with transfers of rights, release, expiry, and what order events do to stock.

use std::collections::BTreeSet;

use ids::{OfferId, OrderId, TransferId};
use inventory::domain::{Event, Grant, Lines, NextStep, Refusal, ReserveRefusal, next_step};
use order::domain::Fate;

use super::{Me, order as orders};
use crate::consumer::Consumer;
use crate::coverage::Seen;
use crate::network::call;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::spine::{Lost, Topic, statement};
use crate::stores::stock::Wanted;
use crate::world::{Service, World};
use crate::{SECOND, Verdict};

/// `workers::order_events`.
pub const ORDER_EVENTS: Consumer = Consumer {
    group: "inventory",
    topics: &[Topic::OrderPlaced, Topic::OrderCancelled],
    effect: |world, at, event| {
        let happened = if event.topic == Topic::OrderPlaced { Event::OrderPlaced } else { Event::OrderCancelled };
        world.apply_to_reservation(at, happened, event.order).map(drop).map_err(|refusal| refusal.to_string())
    },
};

/// `grpc::reserve::ROUNDS_MAX`.
const ROUNDS_MAX: usize = 4;

/// `grpc::reserve::ReserveError`, as far as a caller tells them apart.
#[derive(Debug)]
pub enum ReserveError {
    Refused(ReserveRefusal),
    OutOfStock,
    /// The other region did not say, or others were faster, or the database failed: try again.
    Unavailable,
}

impl From<Lost> for ReserveError {
    fn from(_: Lost) -> Self {
        Self::Unavailable
    }
}

/// `Reserving::reserve`.
pub async fn reserve(sim: Sim, me: Me, wanted: Wanted) -> Result<(), ReserveError> {
    if statement(&sim, |world| world.reserve(me.region, &wanted)).await? {
        return Ok(());
    }
    let mut exhausted_there = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        if let Some(answer) = repeat(&sim, me, &wanted) {
            return answer;
        }
        let Some((id, asked, is_new)) = question(&sim, me, &wanted, &exhausted_there).await? else { continue };
        let grant = ask_peer(&sim, me, id, &asked).await.ok_or(ReserveError::Unavailable)?;
        if is_new {
            exhausted_there = grant.exhausted(&asked);
        }
        if statement(&sim, |world| world.credit_and_reserve(me.region, id, &grant, Some(&wanted))).await? {
            return Ok(());
        }
    }
    Err(ReserveError::Unavailable)
}

/// What an earlier call with the order's id left, if any.
fn repeat(sim: &Sim, me: Me, wanted: &Wanted) -> Option<Result<(), ReserveError>> {
    let stored = sim.with(|world| {
        let reservation = world.regions[me.region].stock.reservations.get(&wanted.order);
        reservation.map(|reservation| reservation.stored.clone())
    })?;
    Some(stored.repeat(&wanted.digest).map(drop).map_err(|refusal| {
        if refusal == ReserveRefusal::Released {
            sim.saw(Seen::LateReserve);
        }
        ReserveError::Refused(refusal)
    }))
}

/// `grpc::reserve::question`: what to ask the other region, stored as pending before it is asked.
async fn question(
    sim: &Sim,
    me: Me,
    wanted: &Wanted,
    exhausted_there: &BTreeSet<OfferId>,
) -> Result<Option<(TransferId, Lines, bool)>, ReserveError> {
    if let Some((id, asked)) = sim.with(|world| world.regions[me.region].stock.pending_for(wanted.order)) {
        return Ok(Some((id, asked, false)));
    }
    let available = sim.with(|world| world.regions[me.region].stock.available());
    match next_step(&wanted.lines, &available, exhausted_there) {
        NextStep::Refuse(_) => Err(ReserveError::OutOfStock),
        NextStep::ReserveAgain => {
            statement(sim, |world| world.reserve(me.region, wanted)).await?;
            Ok(None)
        }
        NextStep::Ask(_) if sim.with(|world| world.regions.len() == 1) => Err(ReserveError::OutOfStock),
        NextStep::Ask(asked) => {
            let opened = statement(sim, |world| world.open_transfer(me.region, wanted.order, &asked)).await?;
            Ok(opened.map(|id| (id, asked, true)))
        }
    }
}

/// `Peer::transfer_rights`: the answer checked against the question.
async fn ask_peer(sim: &Sim, me: Me, id: TransferId, asked: &Lines) -> Option<Grant> {
    let question = asked.clone();
    let granted = call(sim, (me.region, 1 - me.region), Service::Inventory, 2 * SECOND, move |sim, there| {
        let question = question.clone();
        async move { statement(&sim, |world| world.grant(there.region, id, &question)).await }
    });
    let granted = granted.await?.ok()?;
    match Grant::check(asked, granted) {
        Ok(grant) => Some(grant),
        Err(error) => {
            sim.with(|world| world.fail(Verdict::Stock, format!("transfer {id}: {error}")));
            None
        }
    }
}

/// `Release`.
pub async fn release(sim: Sim, me: Me, order: OrderId) -> Result<Result<(), Refusal>, Lost> {
    statement(&sim, |world| world.apply_to_reservation(me.region, Event::ReleaseRequested, order).map(drop)).await
}

/// `workers::expiry`: asks for the order's fate before it lets go.
pub async fn release_expired(sim: Sim, me: Me) {
    loop {
        let pause = sim.random(SECOND / 2..2 * SECOND);
        sim.sleep(pause).await;
        let Ok(due) = statement(&sim, |world| world.claim_expired(me.region)).await else { continue };
        for order in due {
            let fate = if sim.with(|world| world.removed(Sabotage::FateBeforeExpiry)) {
                Some(None)
            } else {
                orders::ask_fate(&sim, me, order).await
            };
            match fate {
                Some(None | Some(Fate::Ended)) => {
                    sim.saw(Seen::FateEnded);
                    let let_go = |world: &mut World| world.apply_to_reservation(me.region, Event::FateEnded, order);
                    let _ = statement(&sim, let_go).await;
                }
                Some(Some(Fate::Placed | Fate::Undecided)) => sim.saw(Seen::FateStands),
                None => break,
            }
        }
    }
}

/// `workers::transfers`: asks again, under the same id, for what was asked and never credited.
pub async fn finish_transfers(sim: Sim, me: Me) {
    loop {
        let pause = sim.random(SECOND..2 * SECOND);
        sim.sleep(pause).await;
        let Ok(due) = statement(&sim, |world| world.claim_abandoned(me.region)).await else { continue };
        for (id, asked) in due {
            let Some(grant) = ask_peer(&sim, me, id, &asked).await else { break };
            let _ = statement(&sim, |world| world.credit_and_reserve(me.region, id, &grant, None)).await;
        }
    }
}
