//! `drive.rs` and `lease.rs`: one driver's turn at one order, under its lease.

use std::pin::pin;
use std::time::Duration;

use chassis::retry::Backoff;
use futures::future::{Either, select};
use ids::OrderId;
use order::domain::{CardToken, Order, Refusal};
use order::sagas::place_order::{PLAN, Step};
use saga::{Duty as SagaDuty, Event as SagaEvent, State};

use super::begin::deadline;
use super::steps::{Attempt, act, compensate};
use super::{CALL_MAX, micros};
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::services::Me;
use crate::spine::{Lost, statement};
use crate::stores::orders::{Claimed, Duty, Fence};
use crate::{Micros, Verdict};

/// `drive::BETWEEN_TRIES`.
const BETWEEN_TRIES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));

/// `drive::Turn`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Placed,
    Rejected(Refusal),
    Undecided,
    Superseded,
}

/// `Placing`, under its fence.
pub(super) struct Placing {
    pub order: Order,
    pub state: State<Step, Refusal>,
    pub card: Option<CardToken>,
    pub fence: Fence,
}

/// `Placing::forward` and `Placing::back`.
pub(super) fn placing(claimed: Claimed) -> Option<Placing> {
    let fence = claimed.fence;
    match claimed.duty {
        Duty::Forward(order, card) => Some(Placing { order: *order, state: PLAN.start(), card: Some(card), fence }),
        Duty::Back(order, next, reason) => {
            Some(Placing { order: *order, state: State::Unwinding { next, reason }, card: None, fence })
        }
        Duty::Void => None,
    }
}

/// `Lease::beside`: waits and renews meanwhile; none when the lease is lost, and what was waited for is dropped. Only waiting
/// renews.
pub(super) async fn beside<T>(
    sim: &Sim,
    me: Me,
    (id, fence): (OrderId, Fence),
    work: impl Future<Output = T>,
) -> Option<T> {
    let keep = async {
        loop {
            let third = sim.with(|world| world.plan.lease / 3);
            sim.sleep(third).await;
            if let Ok(false) = statement(sim, |world| world.renew(me.region, id, fence)).await {
                return;
            }
        }
    };
    match select(pin!(work), pin!(keep)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// `PlaceOrder::turn`.
pub(super) async fn turn(sim: &Sim, me: Me, mut placing: Placing, until: Micros) -> Result<Turn, Lost> {
    let held = (placing.order.id, placing.fence);
    let mut tries = 0;
    let limit = sim.with(|world| world.plan.placement_limit);
    loop {
        let within = until.saturating_sub(sim.now()).min(CALL_MAX);
        let event = match PLAN.duty(&placing.state) {
            SagaDuty::Rest => {
                return Ok(match placing.state {
                    State::Completed => Turn::Placed,
                    State::Unwound { reason } => Turn::Rejected(reason),
                    State::Running { .. } | State::Unwinding { .. } => Turn::Undecided,
                });
            }
            SagaDuty::Act(step @ (Step::ReserveStock | Step::AuthorisePayment))
                if sim.now() >= deadline(&placing.order, limit) =>
            {
                Some(SagaEvent::GivenUp(step, Refusal::placement_timed_out(step.callee())))
            }
            SagaDuty::Act(step) => match act(sim, me, step, &placing, within).await? {
                Attempt::Done => Some(SagaEvent::Done(step)),
                Attempt::Refused(refusal) => Some(refused_event(sim, step, refusal)),
                Attempt::Superseded => return Ok(Turn::Superseded),
                Attempt::Unknown => None,
            },
            SagaDuty::Compensate(step) => {
                match beside(sim, me, held, compensate(sim, me, step, &placing.order, within)).await {
                    Some(Attempt::Done) => Some(SagaEvent::Compensated(step)),
                    Some(Attempt::Refused(_) | Attempt::Unknown) => None,
                    Some(Attempt::Superseded) | None => return Ok(Turn::Superseded),
                }
            }
        };
        let Some(event) = event else {
            tries += 1;
            let pause = micros(BETWEEN_TRIES.delay(tries, sim.random(0.0..1.0)));
            if sim.now() + pause >= until {
                return Ok(Turn::Undecided);
            }
            if beside(sim, me, held, sim.sleep(pause)).await.is_none() {
                return Ok(Turn::Superseded);
            }
            continue;
        };
        tries = 0;
        let next = match PLAN.apply(placing.state.clone(), event) {
            Ok(next) => next,
            Err(illegal) => {
                sim.with(|world| world.fail(Verdict::Illegal, format!("saga of {}: {illegal}", placing.order.id)));
                return Ok(Turn::Undecided);
            }
        };
        if !make_durable(sim, me, &placing, &next).await? {
            return Ok(Turn::Superseded);
        }
        placing.state = next;
    }
}

/// `Step::refused`; with its guard removed every refusal counts as one that the callee stores.
fn refused_event(sim: &Sim, step: Step, refusal: Refusal) -> SagaEvent<Step, Refusal> {
    if sim.with(|world| world.removed(Sabotage::RefusedReserve)) {
        return SagaEvent::Refused(step, refusal);
    }
    step.refused(refusal)
}

/// `PlaceOrder::make_durable`: a change of direction is written before anything is done in the new direction.
async fn make_durable(sim: &Sim, me: Me, placing: &Placing, to: &State<Step, Refusal>) -> Result<bool, Lost> {
    let (id, fence) = (placing.order.id, placing.fence);
    match (&placing.state, to) {
        (State::Running { .. }, State::Unwinding { next, reason }) => {
            statement(sim, |world| world.mark_compensating(me.region, id, fence, (*next, reason))).await
        }
        (State::Unwinding { .. }, State::Unwound { .. }) => {
            statement(sim, |world| world.mark_rejected(me.region, id, fence)).await
        }
        _ => Ok(true),
    }
}
