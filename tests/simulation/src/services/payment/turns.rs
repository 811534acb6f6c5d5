//! `driver::{flow,turn}` and `workers::due`: turns, one after the other, and the record of each.

use std::time::Duration;

use chassis::retry::Backoff;
use ids::{OrderId, RefundId};
use payment::domain::{Event, State};
use payment::driver::{payment_turn, refund_turn};
use payment::psp::CallError;
use payment::store::{ClaimedPayment, Done, Recorded, Work};

use super::line::{Line, answered};
use crate::coverage::Seen;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::services::Me;
use crate::spine::{Database, Event as Said, Lost, Topic, append, statement};
use crate::{MILLISECOND, Micros, SECOND, Verdict};

/// `flow::TURNS_MAX`.
const TURNS_MAX: usize = 3;
/// `turn::TURN_TIMEOUT`.
const TURN_TIMEOUT: Micros = 5 * SECOND;
/// `turn::UNRESOLVED`, but for the last minutes of it.
const UNRESOLVED: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// `Driver::take_turns`.
pub(super) async fn take_turns(sim: &Sim, me: Me, mut work: Work) -> Result<Option<State>, Lost> {
    for _ in 0..TURNS_MAX {
        let again = subject(&work);
        let done = turn(sim, me, work).await;
        match record(sim, me, done).await? {
            Recorded::Payment(state) if state.step().is_none() => return Ok(Some(state)),
            Recorded::Refunded | Recorded::ClaimLost => return Ok(None),
            Recorded::Payment(_) => {}
            Recorded::Released | Recorded::Parked => sim.sleep(100 * MILLISECOND).await,
        }
        let claimed = statement(sim, |world| match again {
            Ok(order) => world.claim_payment(me.region, order).map(Work::Payment),
            Err(refund) => world.claim_refund(me.region, refund).map(Work::Refund),
        });
        match claimed.await? {
            Some(next) => work = next,
            None => return Ok(None),
        }
    }
    Ok(None)
}

fn subject(work: &Work) -> Result<OrderId, RefundId> {
    match work {
        Work::Payment(claimed) => Ok(claimed.order),
        Work::Refund(claimed) => Err(claimed.refund),
    }
}

/// `workers::due`: captures of shipped orders, and whatever was left in flight.
pub async fn drive_due(sim: Sim, me: Me) {
    loop {
        let pause = sim.random(100 * MILLISECOND..600 * MILLISECOND);
        sim.sleep(pause).await;
        let Ok(due) = statement(&sim, |world| world.claim_due(me.region)).await else { continue };
        for work in due {
            let host = sim.clone();
            sim.spawn_in(me.process, async move {
                let done = turn(&host, me, work).await;
                drop(record(&host, me, done).await);
            });
        }
    }
}

/// `Store::record`: state, ledger and event in one commit.
async fn record(sim: &Sim, me: Me, done: Done) -> Result<Recorded, Lost> {
    let (order, refund, topic, amount) = match &done {
        Done::Payment { claimed, event: Event::Captured { .. } } => {
            (claimed.order, None, Topic::PaymentCaptured, claimed.amount)
        }
        Done::Refund { claimed, .. } => (claimed.order, Some(claimed.refund), Topic::PaymentRefunded, claimed.amount),
        Done::Payment { .. } | Done::Unresolved { .. } => {
            return statement(sim, |world| world.record(me.region, &done).1).await;
        }
    };
    let id = sim.with(|world| world.number());
    let event = Said { id, topic, order, refund, amount_minor: amount.minor_units(), home: me.region };
    append(sim, (me.region, Database::Payment), event, |world| world.record(me.region, &done)).await
}

/// `driver::turn`: bounded, and what has no outcome stays due.
async fn turn(sim: &Sim, me: Me, work: Work) -> Done {
    let late = || Err(CallError::Unknown { detail: "the turn took too long".into() });
    let (attempts, error) = match work {
        Work::Payment(mut claimed) => {
            // Without the key there is no asking first either.
            let attempts = claimed.attempts;
            if sim.with(|world| world.removed(Sabotage::ProviderKey)) {
                claimed.attempts = 1;
            }
            let outcome = sim.within(TURN_TIMEOUT, payment_outcome(sim, me, &claimed)).await.unwrap_or_else(late);
            claimed.attempts = attempts;
            match guess(sim, &claimed, outcome) {
                Ok(event) => return Done::Payment { claimed, event },
                Err(error) => (Work::Payment(claimed), error),
            }
        }
        Work::Refund(claimed) => {
            let line = Line::default();
            let outcome = sim.within(TURN_TIMEOUT, answered(sim, me, &line, refund_turn(&line, &claimed))).await;
            match outcome.unwrap_or_else(|| Err(CallError::Unknown { detail: "the turn took too long".into() })) {
                Ok(receipt) => return Done::Refund { claimed, receipt: receipt.id },
                Err(error) => (Work::Refund(claimed), error),
            }
        }
    };
    unresolved(sim, attempts, &error)
}

async fn payment_outcome(sim: &Sim, me: Me, claimed: &ClaimedPayment) -> Result<Event, CallError> {
    let line = Line::default();
    let asked = claimed.attempts > 1;
    let outcome = answered(sim, me, &line, payment_turn(&line, claimed)).await;
    if asked && outcome.is_ok() && line.calls() == 1 {
        sim.saw(Seen::Asked);
    }
    outcome
}

/// A removed guard: an unknown outcome of an authorisation counts as a decline.
fn guess(sim: &Sim, claimed: &ClaimedPayment, outcome: Result<Event, CallError>) -> Result<Event, CallError> {
    let is_guessed = sim.with(|world| world.removed(Sabotage::AskWhenUnknown));
    match outcome {
        Err(CallError::Unknown { .. }) if is_guessed && claimed.state == State::Authorising => {
            Ok(Event::Declined { code: "guessed".into() })
        }
        outcome => outcome,
    }
}

/// `turn::unresolved`.
fn unresolved(sim: &Sim, work: Work, error: &CallError) -> Done {
    let attempts = match &work {
        Work::Payment(claimed) => claimed.attempts,
        Work::Refund(claimed) => claimed.attempts,
    };
    if let CallError::Refused { detail } = error {
        // Someone has to look: never our fault in an honest world.
        let what = format!("the provider refuses {:?}: {detail}", subject(&work));
        sim.with(|world| world.fail(Verdict::Charged, what));
    }
    let random = sim.random(0.0..1.0);
    Done::Unresolved {
        work,
        retry_after: UNRESOLVED.delay(attempts, random).max(Duration::from_millis(50)),
        park: None,
    }
}
