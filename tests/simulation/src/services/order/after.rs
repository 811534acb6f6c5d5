//! What goes on without a request: recovery, cancelling and its void, shipping, returns and their refunds.

use std::rc::Rc;
use std::time::Duration;

use ::payment::domain::State as PaymentState;
use ::payment::domain::refund::RefundRejected;
use ::payment::store::RefundState;
use chassis::retry::Backoff;
use ids::{OrderId, RefundId};
use order::domain::ReturnLine;

use super::drive::{Turn, beside, placing, turn};
use super::steps::{must_look, payment_shares};
use super::{CALL_MAX, micros, said};
use crate::coverage::Seen;
use crate::network::call;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::services::{Me, payment};
use crate::spine::{Database, Lost, Topic, append, statement};
use crate::stores::orders::{Claimed, Fence};
use crate::world::{Service, home_of};
use crate::{MILLISECOND, Micros, SECOND, Verdict};

/// `recovery::TURN_MAX`.
const TURN_MAX: Micros = 2 * SECOND;

/// `recovery::BETWEEN_TURNS`.
const BETWEEN_TURNS: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// `workers::recovery`.
pub async fn recover(sim: Sim, me: Me) {
    loop {
        let pause = sim.random(100 * MILLISECOND..500 * MILLISECOND);
        sim.sleep(pause).await;
        let Ok(claimed) = statement(&sim, |world| world.claim_orders(me.region, 8)).await else { continue };
        for claimed in claimed {
            let host = sim.clone();
            sim.spawn_in(me.process, async move { recovery_turn(&host, me, claimed).await });
        }
    }
}

async fn recovery_turn(sim: &Sim, me: Me, claimed: Claimed) {
    let (id, fence, attempts) = (claimed.order, claimed.fence, claimed.attempts);
    let until = sim.now() + TURN_MAX;
    let has_ended = match placing(claimed) {
        Some(placing) => turn(sim, me, placing, until).await.is_ok_and(|turn| turn != Turn::Undecided),
        None => void_cancelled(sim, me, id, fence).await.unwrap_or(false),
    };
    if !has_ended {
        let delay = micros(BETWEEN_TURNS.delay(attempts + 1, sim.random(0.0..1.0)));
        let _ = statement(sim, |world| world.put_off(me.region, id, fence, delay)).await;
    }
}

/// `CancelOrder::void`: the step after the pivot, retried until it succeeds.
async fn void_cancelled(sim: &Sim, me: Me, id: OrderId, fence: Fence) -> Result<bool, Lost> {
    let void = move |sim, there| payment::void(sim, there, id);
    let voided = beside(sim, me, (id, fence), call(sim, (me.region, me.region), Service::Payment, CALL_MAX, void));
    let Some(voided) = voided.await else { return Ok(true) };
    match voided {
        Some(Ok(Some(PaymentState::Voided | PaymentState::Declined { .. }))) => {
            statement(sim, |world| world.mark_voided(me.region, id, fence)).await?;
            Ok(true)
        }
        Some(Ok(None)) => {
            must_look(sim, format!("void of cancelled {id} was refused"));
            Ok(false)
        }
        Some(Ok(Some(_)) | Err(Lost)) | None => Ok(false),
    }
}

/// `OrderGrpc::cancel_order`: by the order's own region. None: it could not be asked.
pub async fn cancel(sim: Sim, me: Me, id: OrderId) -> Option<bool> {
    let home = home_of(id);
    if home == me.region {
        return cancel_here(sim, me, id).await;
    }
    let ask = move |sim, there| cancel_here(sim, there, id);
    call(&sim, (me.region, home), Service::Order, CALL_MAX, ask).await.flatten()
}

/// `CancelOrder::cancel`. `Some(true)`: it is cancelled; `Some(false)`: it cannot be.
pub(super) async fn cancel_here(sim: Sim, me: Me, id: OrderId) -> Option<bool> {
    let event = said(&sim, me, Topic::OrderCancelled, id);
    let cancelled = append(&sim, (me.region, Database::Order), event, |world| {
        let cancelled = world.cancel(me.region, id);
        (cancelled == Some(true), cancelled.is_some())
    });
    cancelled.await.ok()
}

/// `workers::fulfilment::ship`.
pub async fn ship(sim: Sim, me: Me) {
    loop {
        let pause = sim.random(100 * MILLISECOND..600 * MILLISECOND);
        sim.sleep(pause).await;
        for id in sim.with(|world| world.due_to_ship(me.region)) {
            let event = said(&sim, me, Topic::OrderShipped, id);
            let shipped = append(&sim, (me.region, Database::Order), event, |world| (world.ship(me.region, id), ()));
            let _ = shipped.await;
        }
    }
}

/// `OrderGrpc::return_order`: by the order's own region.
pub async fn take_back(
    sim: Sim,
    me: Me,
    named: (OrderId, u64),
    lines: Rc<Vec<ReturnLine>>,
) -> Result<Result<RefundId, String>, Lost> {
    let home = home_of(named.0);
    if home == me.region {
        return take_back_here(sim, me, named, lines).await;
    }
    let ask = move |sim, there| take_back_here(sim, there, named, lines.clone());
    call(&sim, (me.region, home), Service::Order, CALL_MAX, ask).await.unwrap_or(Err(Lost))
}

/// `ReturnOrder::take_back`: the refund, or why not.
pub(super) async fn take_back_here(
    sim: Sim,
    me: Me,
    (order, request): (OrderId, u64),
    lines: Rc<Vec<ReturnLine>>,
) -> Result<Result<RefundId, String>, Lost> {
    // A removed guard: decided on what was seen before the lock.
    let seen = sim.with(|world| {
        world.removed(Sabotage::ReturnLock).then(|| world.regions[me.region].orders.rows[&order].order.lines.clone())
    });
    if seen.is_some() {
        sim.sleep(100 * MILLISECOND).await;
    }
    let stored = statement(&sim, |world| world.take_back(me.region, (order, request), &lines, seen.as_deref())).await?;
    let (id, fence) = match stored {
        Ok(stored) => stored,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(fence) = fence {
        refund(&sim, me, id, (fence, 0)).await?;
    }
    Ok(Ok(id))
}

/// `workers::refunds`.
pub async fn refund_due(sim: Sim, me: Me) {
    loop {
        let pause = sim.random(200 * MILLISECOND..800 * MILLISECOND);
        sim.sleep(pause).await;
        let Ok(claimed) = statement(&sim, |world| world.claim_refunds(me.region)).await else { continue };
        for (id, fence, attempts) in claimed {
            let host = sim.clone();
            sim.spawn_in(me.process, async move { refund(&host, me, id, (fence, attempts)).await.unwrap_or(()) });
        }
    }
}

/// `ReturnOrder::refund`: tries the refund once.
async fn refund(sim: &Sim, me: Me, id: RefundId, (fence, attempts): (Fence, u32)) -> Result<(), Lost> {
    let (order, shares) = sim.with(|world| {
        let row = &world.regions[me.region].orders.returns[&id];
        (row.order, payment_shares(&row.accepted.shares))
    });
    let ask = move |sim, there| payment::refund(sim, there, (id, order), shares.clone());
    match call(sim, (me.region, me.region), Service::Payment, CALL_MAX, ask).await {
        Some(Ok(Ok(RefundState::Succeeded | RefundState::Cancelled))) => {
            statement(sim, |world| world.mark_refunded(me.region, id)).await?;
            return Ok(());
        }
        Some(Ok(Err(RefundRejected::NotCaptured { .. }))) => sim.saw(Seen::RefundWaits),
        Some(Ok(Err(rejected @ RefundRejected::ExceedsShare { .. }))) => {
            sim.with(|world| world.fail(Verdict::Refunds, format!("refund {id} of {order}: {rejected}")));
        }
        Some(Ok(Ok(RefundState::Pending)) | Err(Lost)) | None => {}
    }
    let delay = micros(BETWEEN_TURNS.delay(attempts + 1, sim.random(0.0..1.0)));
    statement(sim, |world| world.put_off_refund(me.region, id, fence, delay)).await
}
