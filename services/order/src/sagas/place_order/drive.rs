//! One driver's turn at one order: does what the plan asks for until the order is decided or the time is up.

use std::time::Duration;

use chassis::retry::Backoff;
use chrono::Utc;
use ids::OrderId;
use saga::{Duty, Event, State};
use tokio::time::Instant;

use super::steps::Attempt;
use super::{PLAN, PlaceError, PlaceOrder, Placing, Step};
use crate::domain::Refusal;
use crate::store::Driver;

/// Between two tries of a step. A provider that is in doubt usually knows within a second.
const BETWEEN_TRIES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
/// One call takes at most this long, also when the turn has longer: a lost call is asked again rather than waited for.
/// Above a reservation of 1,500 lines that asks the other region (some 200 ms) with room for a machine under load.
const CALL_MAX: Duration = Duration::from_secs(3);

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
}

impl PlaceOrder {
    /// Drives an order that `driver` holds until it is decided, the lease is lost, or `until`. Dropping it half-way is harmless:
    /// the next turn starts again at the first step.
    pub(crate) async fn turn(&self, placing: Placing, driver: Driver, until: Instant) -> Result<Turn, PlaceError> {
        let id = placing.order.id;
        tokio::select! {
            turn = self.drive(placing, until) => {
                if let Ok(Turn::Placed) = turn {
                    metrics::counter!("orders_placed_total").increment(1);
                }
                if let Ok(Turn::Rejected(refusal)) = &turn {
                    metrics::counter!("orders_rejected_total", "reason" => refusal.reason.clone()).increment(1);
                }
                turn
            }
            () = self.store.hold(id, driver, self.settings.lease) => Ok(Turn::Superseded),
        }
    }

    async fn drive(&self, mut placing: Placing, until: Instant) -> Result<Turn, PlaceError> {
        let mut tries = 0;
        loop {
            let within = until.saturating_duration_since(Instant::now()).min(CALL_MAX);
            let event = match PLAN.duty(&placing.state) {
                Duty::Rest => return Ok(ended(placing.state)),
                Duty::Act(step) if self.is_too_late(&placing, step) => {
                    Some(Event::GivenUp(step, Refusal::placement_timed_out(step.callee())))
                }
                Duty::Act(step) => match self.act(step, &placing, within).await? {
                    Attempt::Done => Some(Event::Done(step)),
                    Attempt::Refused(refusal) => Some(Event::Refused(step, refusal)),
                    Attempt::Superseded => return Ok(Turn::Superseded),
                    Attempt::Unknown => None,
                },
                Duty::Compensate(step) => match self.compensate(step, &placing, within).await {
                    Attempt::Done => Some(Event::Compensated(step)),
                    _ => None,
                },
            };
            let Some(event) = event else {
                tries += 1;
                let pause = BETWEEN_TRIES.delay_now(tries);
                if Instant::now() + pause >= until {
                    return Ok(Turn::Undecided);
                }
                tokio::time::sleep(pause).await;
                continue;
            };
            tries = 0;
            let next = PLAN.apply(placing.state.clone(), event)?;
            if !self.make_durable(placing.order.id, &placing.state, &next).await? {
                return Ok(Turn::Superseded);
            }
            placing.state = next;
        }
    }

    /// Whether the order's time is over before `step`. The cut is done and the pivot takes no time, so they are never given up.
    fn is_too_late(&self, placing: &Placing, step: Step) -> bool {
        let waits = matches!(step, Step::ReserveStock | Step::AuthorisePayment);
        waits && Utc::now() >= placing.order.placement_deadline(self.settings.placement_limit)
    }

    /// Writes a change of direction before anything is done in the new direction. Steps forward need no write (see the essay in
    /// the module), and placing has written itself. False when another driver was first.
    async fn make_durable(
        &self,
        id: OrderId,
        from: &State<Step, Refusal>,
        to: &State<Step, Refusal>,
    ) -> Result<bool, PlaceError> {
        let written = match (from, to) {
            (State::Running { .. }, State::Unwinding { next, reason }) => {
                tracing::info!(order_id = %id, reason = reason.reason, unwind_from = next.name(), "order unwinds");
                self.store.mark_compensating(id, *next, reason).await?
            }
            (State::Unwinding { .. }, State::Unwound { .. }) => self.store.mark_rejected(id).await?,
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
