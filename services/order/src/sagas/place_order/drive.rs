//! One driver's turn at one order: does what the plan asks for until the order is decided or the time is up.

use std::time::Duration;

use chassis::retry::Backoff;
use saga::{Duty, Event, State};
use tokio::time::Instant;

use super::plan::calls_to_go;
use super::steps::Attempt;
use super::{PLAN, PlaceError, PlaceOrder, Placing, Step};
use crate::domain::Refusal;
use crate::sagas::patience::call_deadline;
use crate::store::Lease;

/// Between two tries of a step. A provider that is in doubt usually knows within a second.
const BETWEEN_TRIES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// The order is placed.
    Placed,
    /// The saga is unwound, for this reason.
    Rejected(Refusal),
    /// The time was up first. The order's next turn goes on.
    Undecided,
    /// Another driver has the order now, or has decided it.
    Superseded,
    /// A compensation was refused: a person has to look.
    Parked,
}

impl PlaceOrder {
    /// Drives an order until it is decided, the lease is lost, or `until`. Dropping it half-way is harmless: the next turn starts
    /// again at the first step.
    pub(crate) async fn turn(&self, placing: Placing, lease: &mut Lease, until: Instant) -> Result<Turn, PlaceError> {
        let turn = self.drive(placing, lease, until).await;
        if let Ok(Turn::Placed) = turn {
            metrics::counter!("orders_placed_total").increment(1);
        }
        if let Ok(Turn::Rejected(refusal)) = &turn {
            metrics::counter!("orders_rejected_total", "reason" => refusal.reason.clone()).increment(1);
        }
        turn
    }

    async fn drive(&self, mut placing: Placing, lease: &mut Lease, until: Instant) -> Result<Turn, PlaceError> {
        let mut tries = 0;
        loop {
            let duty = PLAN.duty(&placing.state);
            let within = call_deadline(until.saturating_duration_since(Instant::now()), calls_to_go(duty));
            let event = match duty {
                Duty::Rest => return Ok(ended(placing.state)),
                Duty::Act(step) if self.is_too_late(&placing, step) => {
                    Some(Event::GivenUp(step, Refusal::placement_timed_out(step.callee())))
                }
                Duty::Act(step) => match self.act(step, &placing, lease, within).await? {
                    Attempt::Done => Some(Event::Done(step)),
                    Attempt::Refused(refusal) => Some(step.refused(refusal)),
                    Attempt::Superseded => return Ok(Turn::Superseded),
                    Attempt::Unknown => None,
                },
                Duty::Compensate(step) => match self.compensate(step, &placing, lease, within).await {
                    Attempt::Done => Some(Event::Compensated(step)),
                    Attempt::Refused(refusal) => return self.park(step, &refusal, lease).await,
                    Attempt::Superseded => return Ok(Turn::Superseded),
                    Attempt::Unknown => None,
                },
            };
            let Some(event) = event else {
                tries += 1;
                let pause = BETWEEN_TRIES.delay_now(tries);
                if Instant::now() + pause >= until {
                    return Ok(Turn::Undecided);
                }
                if lease.beside(&self.store, tokio::time::sleep(pause)).await.is_none() {
                    return Ok(Turn::Superseded);
                }
                continue;
            };
            tries = 0;
            let next = PLAN.apply(placing.state.clone(), event)?;
            if !self.make_durable(lease, &placing.state, &next).await? {
                return Ok(Turn::Superseded);
            }
            placing.state = next;
        }
    }

    /// A compensation has no right to be refused (nothing is committed or captured before the pivot), and a repeat gets the same.
    /// So somebody must look: the order stays compensating and nothing is assumed.
    async fn park(&self, step: Step, why: &Refusal, lease: &Lease) -> Result<Turn, PlaceError> {
        let reason = format!("compensation of {} was {why}", step.name());
        let is_parked = self.store.park(lease.order, lease.fence, &reason).await?;
        Ok(if is_parked { Turn::Parked } else { Turn::Superseded })
    }

    /// Whether the order's time is over before `step`. The cut is done and the pivot takes no time, so they are never given up.
    fn is_too_late(&self, placing: &Placing, step: Step) -> bool {
        let waits = matches!(step, Step::ReserveStock | Step::AuthorisePayment);
        waits && self.store.clock().now() >= placing.order.placement_deadline(self.settings.placement_limit)
    }

    /// Writes a change of direction before anything is done in the new direction. Steps forward need no write (see the essay in
    /// the module), and placing has written itself. False when another driver was first.
    async fn make_durable(
        &self,
        lease: &Lease,
        from: &State<Step, Refusal>,
        to: &State<Step, Refusal>,
    ) -> Result<bool, PlaceError> {
        let written = match (from, to) {
            (State::Running { .. }, State::Unwinding { next, reason }) => {
                tracing::info!(order_id = %lease.order, reason = reason.reason, unwind_from = next.name(), "order unwinds");
                self.store.mark_compensating(lease, *next, reason).await?
            }
            (State::Unwinding { .. }, State::Unwound { .. }) => self.store.mark_rejected(lease).await?,
            _ => true,
        };
        Ok(written)
    }
}

fn ended(state: State<Step, Refusal>) -> Turn {
    match state {
        State::Completed => Turn::Placed,
        State::Unwound { reason } => Turn::Rejected(reason),
        State::Running { .. } | State::Unwinding { .. } => Turn::Undecided,
    }
}
