//! One turn: asks or calls the provider about one claimed row, and says how it ended. Stores nothing.

use std::time::Duration;

use chassis::retry::Backoff;
use chassis::trace_context::span_with_parent;
use sabotage::{Guard, crash_point, is_removed};
use tracing::Instrument as _;

use super::reading::read;
use crate::domain::{Event, Step};
use crate::psp::{CallError, Intent, Provider, Receipt};
use crate::store::{ClaimedPayment, ClaimedRefund, Done, Work};

/// The longest turn: a question and a call at the provider's 2 s each, and retries of calls that never left. Shorter than a
/// lease (8 s), so that a claim does not run out under a turn.
pub const TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Waits after a turn without an outcome: soon at first, for most doubts end with the first question; at last every minute.
const UNRESOLVED: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(60));
/// Two turns on one row are at least this far apart, whatever the jitter says.
const UNRESOLVED_MIN: Duration = Duration::from_millis(50);
/// After a refusal a person has to act; until then look now and then, should the provider think better of it, or somebody mend a
/// wrong key.
const REFUSED: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(3_600));
/// The least of it.
const REFUSED_MIN: Duration = Duration::from_secs(30);
/// After so many turns without an outcome, some twenty minutes, somebody has to look as well. The turns go on.
const TURNS_BEFORE_PARKED: u32 = 25;

/// Why a turn had no outcome, for a caller who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// The last call never left; the provider is away.
    NotReached,
    /// Anything may have happened.
    Unknown,
}

/// Takes a turn. Bounded by [`TURN_TIMEOUT`].
pub async fn turn<P: Provider>(provider: &P, work: Work) -> (Done, Option<Doubt>) {
    match work {
        Work::Payment(claimed) => {
            let span = span_with_parent("payment.turn", claimed.traceparent.as_deref());
            match bounded(payment(provider, &claimed)).instrument(span.clone()).await {
                Ok(event) => (Done::Payment { claimed, event }, None),
                Err(error) => span.in_scope(|| unresolved(Work::Payment(claimed), &error)),
            }
        }
        Work::Refund(claimed) => {
            let span = span_with_parent("refund.turn", claimed.traceparent.as_deref());
            match bounded(refund(provider, &claimed)).instrument(span.clone()).await {
                Ok(receipt) => (Done::Refund { claimed, receipt: receipt.id }, None),
                Err(error) => span.in_scope(|| unresolved(Work::Refund(claimed), &error)),
            }
        }
    }
}

async fn bounded<T>(work: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    let late = CallError::Unknown { detail: "the turn took too long".into() };
    tokio::time::timeout(TURN_TIMEOUT, work).await.unwrap_or(Err(late))
}

/// Asks and calls the provider about a payment, and reads what it says. Knows nothing of clocks and stores: bounding it is up to
/// the caller.
///
/// # Errors
/// [`CallError`]: nothing certain.
pub async fn payment<P: Provider>(provider: &P, claimed: &ClaimedPayment) -> Result<Event, CallError> {
    let Some(step) = claimed.state.step() else {
        return Err(CallError::Refused { detail: format!("a payment {} needs no step", claimed.state.name()).into() });
    };
    if asks_first(claimed.attempts) {
        let known = ask(provider, claimed, &step).await?;
        let event = known.map(|intent| read(&step, claimed.amount, &intent)).transpose()?.flatten();
        if let Some(event) = event {
            return Ok(event);
        }
        // Nothing yet. The earlier call may still be on its way: only the repeat under its key makes that final.
    }
    match call(provider, claimed, &step).await {
        Ok(intent) => read(&step, claimed.amount, &intent)?
            .ok_or_else(|| CallError::Unknown { detail: "answered without having done it".into() }),
        Err(CallError::Declined { code }) if step == Step::Authorise => Ok(Event::Declined { code }),
        Err(error) => Err(error),
    }
}

/// Whether the provider may have seen the call before. Who does without its key does without the question too: the question hides
/// what only stragglers would show, and drills are to see what repeats come to without the key.
fn asks_first(attempts: u32) -> bool {
    attempts > 1 && !is_removed(Guard::ProviderKey)
}

async fn ask<P: Provider>(provider: &P, claimed: &ClaimedPayment, step: &Step) -> Result<Option<Intent>, CallError> {
    crash_point("payment.ask.before-call").await;
    let known = match step {
        Step::Authorise => provider.intent_of(claimed.order).await,
        Step::Capture(intent) | Step::Void(intent) => provider.intent(intent).await.map(Some),
    };
    crash_point("payment.ask.after-call").await;
    known
}

async fn call<P: Provider>(provider: &P, claimed: &ClaimedPayment, step: &Step) -> Result<Intent, CallError> {
    let order = claimed.order;
    match (step, &claimed.card) {
        (Step::Authorise, Some(card)) => {
            crash_point("payment.authorise.before-call").await;
            let called = provider.authorise(order, claimed.amount, card).await;
            crash_point("payment.authorise.after-call").await;
            called
        }
        (Step::Authorise, None) => Err(CallError::Refused { detail: "the card token is gone".into() }),
        (Step::Capture(intent), _) => {
            crash_point("payment.capture.before-call").await;
            let called = provider.capture(order, intent).await;
            crash_point("payment.capture.after-call").await;
            called
        }
        (Step::Void(intent), _) => {
            crash_point("payment.void.before-call").await;
            let called = provider.void(order, intent).await;
            crash_point("payment.void.after-call").await;
            called
        }
    }
}

/// The same for a refund.
///
/// # Errors
/// [`CallError`]: nothing certain.
pub async fn refund<P: Provider>(provider: &P, claimed: &ClaimedRefund) -> Result<Receipt, CallError> {
    let amount_minor = claimed.amount.minor_units();
    let mut known = None;
    if asks_first(claimed.attempts) {
        crash_point("payment.ask-refund.before-call").await;
        let asked = provider.refund_of(claimed.refund).await;
        crash_point("payment.ask-refund.after-call").await;
        known = asked?;
    }
    let receipt = match known {
        Some(receipt) => receipt,
        None => {
            crash_point("payment.refund.before-call").await;
            let called = provider.refund(claimed.refund, &claimed.intent, amount_minor).await;
            crash_point("payment.refund.after-call").await;
            called?
        }
    };
    if receipt.amount_minor == amount_minor {
        Ok(receipt)
    } else {
        Err(CallError::Refused { detail: "the provider paid back another amount than ours".into() })
    }
}

/// The work stays due; says so to those on call in the measure of how bad it is.
fn unresolved(work: Work, error: &CallError) -> (Done, Option<Doubt>) {
    let (order, attempts) = match &work {
        Work::Payment(claimed) => (claimed.order, claimed.attempts),
        Work::Refund(claimed) => (claimed.order, claimed.attempts),
    };
    let backoff = UNRESOLVED.delay_now(attempts).max(UNRESOLVED_MIN);
    let refused = || REFUSED.delay_now(attempts).max(REFUSED_MIN);
    let (doubt, retry_after, is_refused) = match error {
        CallError::NotReached { .. } => (Doubt::NotReached, backoff, false),
        CallError::Unknown { .. } => (Doubt::Unknown, backoff, false),
        CallError::Refused { .. } | CallError::Declined { .. } => (Doubt::Unknown, refused(), true),
    };
    let park = if is_refused {
        Some(error.to_string())
    } else {
        (attempts >= TURNS_BEFORE_PARKED).then(|| format!("no outcome after {attempts} turns: {error}"))
    };
    if park.is_none() {
        tracing::warn!(%order, attempts, %error, "no outcome from the provider yet");
    }
    metrics::counter!("psp_turns_unresolved_total").increment(1);
    (Done::Unresolved { work, retry_after, park }, Some(doubt))
}
