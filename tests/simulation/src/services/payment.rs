//! `services/payment`: the driver around its own turn. What a turn asks and calls, and what it makes of the answers, is the service's
//! own code (`payment::driver`), run here against the simulated provider.

use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use chassis::retry::Backoff;
use futures::future::poll_fn;
use ids::{OrderId, RefundId};
use money::Money;
use payment::domain::refund::RefundRejected;
use payment::domain::{CardToken, Event, IntentId, Shares, State, Terms, TermsDigest};
use payment::driver::{payment_turn, refund_turn};
use payment::psp::{CallError, Intent, Provider, Receipt};
use payment::store::{ClaimedPayment, Done, Recorded, RefundState, Work};

use super::Me;
use crate::consumer::Consumer;
use crate::coverage::Seen;
use crate::network;
use crate::provider::{Answer, Call};
use crate::runtime::{Sim, Slot};
use crate::sabotage::Sabotage;
use crate::spine::{Database, Event as Said, Lost, Topic, append, statement};
use crate::stores::payments::{Begun, Follow, Reserved};
use crate::world::Service;
use crate::{MILLISECOND, Micros, SECOND, Verdict};

/// `store::LEASE`.
pub const LEASE: Micros = 8 * SECOND;
/// Basis points.
pub const COMMISSION: u16 = 1_000;
/// `flow::TURNS_MAX`.
const TURNS_MAX: usize = 3;
/// `driver::WAIT_MAX`.
const WAIT_MAX: Micros = 2 * SECOND;
/// `turn::TURN_TIMEOUT`.
const TURN_TIMEOUT: Micros = 5 * SECOND;
/// The provider client's time-out.
const CALL_TIMEOUT: Micros = 2 * SECOND;
/// `turn::UNRESOLVED`, but for the last minutes of it.
const UNRESOLVED: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));

/// `workers::shipped`.
pub const SHIPPED_ORDERS: Consumer = Consumer {
    group: "payment",
    topics: &[Topic::OrderShipped],
    effect: |world, at, event| match world.request(at, event.order, Event::CaptureRequested, Follow::Workers) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("shipped without a payment".to_owned()),
        Err(illegal) => Err(illegal.to_string()),
    },
};

/// The state after an authorisation, or why there is none: `AuthoriseError`.
#[derive(Debug)]
pub enum AuthoriseError {
    OtherTerms,
    /// The provider or the database is away.
    Unavailable,
}

impl From<Lost> for AuthoriseError {
    fn from(_: Lost) -> Self {
        Self::Unavailable
    }
}

/// `Driver::authorise`: the state that the payment is in after it.
pub async fn authorise(
    sim: Sim,
    me: Me,
    order: OrderId,
    terms: Rc<(Terms, TermsDigest)>,
) -> Result<State, AuthoriseError> {
    match statement(&sim, |world| world.begin_payment(me.region, order, &terms)).await? {
        Begun::OtherTerms => Err(AuthoriseError::OtherTerms),
        Begun::Started(claimed) => Ok(drive(&sim, me, Work::Payment(claimed)).await.unwrap_or(State::Authorising)),
        Begun::Exists(State::Authorising) => match statement(&sim, |world| world.claim_payment(me.region, order)).await? {
            Some(claimed) => Ok(drive(&sim, me, Work::Payment(claimed)).await.unwrap_or(State::Authorising)),
            None => Ok(stored(&sim, me, order)),
        },
        Begun::Exists(state) => {
            if matches!(state, State::Abandoning | State::Voiding { .. } | State::Voided) {
                sim.saw(Seen::LateAuthorise);
            }
            Ok(state)
        }
    }
}

fn stored(sim: &Sim, me: Me, order: OrderId) -> State {
    sim.with(|world| world.regions[me.region].payments.rows[&order].state.clone())
}

/// `Driver::void`. None: refused, the money is taken or about to be.
pub async fn void(sim: Sim, me: Me, order: OrderId) -> Result<Option<State>, Lost> {
    let state = match statement(&sim, |world| world.request_void(me.region, order)).await? {
        Ok(state) => state,
        Err(_) => return Ok(None),
    };
    if state.step().is_none() {
        return Ok(Some(state));
    }
    let claimed = statement(&sim, |world| world.claim_payment(me.region, order)).await?;
    let Some(claimed) = claimed else { return Ok(Some(state)) };
    Ok(Some(drive(&sim, me, Work::Payment(claimed)).await.unwrap_or(state)))
}

/// What became of a refund: paid, pending, or why not.
pub async fn refund(
    sim: Sim,
    me: Me,
    (refund, order): (RefundId, OrderId),
    shares: Shares,
) -> Result<Result<RefundState, RefundRejected>, Lost> {
    let work = match statement(&sim, |world| world.reserve_refund(me.region, (refund, order), &shares)).await? {
        Reserved::New(claimed) => Some(claimed),
        Reserved::Exists(RefundState::Succeeded) => return Ok(Ok(RefundState::Succeeded)),
        Reserved::Exists(RefundState::Pending) => {
            statement(&sim, |world| world.claim_refund(me.region, refund)).await?
        }
        Reserved::Rejected(rejected) => return Ok(Err(rejected)),
        Reserved::NotFound => return Ok(Err(RefundRejected::NotCaptured { state: "missing" })),
    };
    let Some(claimed) = work else { return Ok(Ok(RefundState::Pending)) };
    drive(&sim, me, Work::Refund(claimed)).await;
    Ok(Ok(sim.with(|world| world.regions[me.region].payments.refunds[&refund].state)))
}

/// `Driver::drive`: turns in a task of their own, for which the request waits while it has time. The state it came to rest in, if
/// any.
async fn drive(sim: &Sim, me: Me, work: Work) -> Option<State> {
    let slot = Slot::new(sim);
    let (host, answer) = (sim.clone(), slot.clone());
    sim.spawn_in(me.process, async move {
        answer.fill(take_turns(&host, me, work).await.ok().flatten());
    });
    sim.within(WAIT_MAX, slot).await.flatten()
}

/// `Driver::take_turns`.
async fn take_turns(sim: &Sim, me: Me, mut work: Work) -> Result<Option<State>, Lost> {
    for _ in 0..TURNS_MAX {
        let again = subject(&work);
        let done = turn(sim, me, work).await;
        match record(sim, me, done).await? {
            Recorded::Payment(state) if state.step().is_none() => return Ok(Some(state)),
            Recorded::Refunded | Recorded::ClaimLost => return Ok(None),
            Recorded::Payment(_) => {}
            Recorded::Released => sim.sleep(100 * MILLISECOND).await,
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
        Done::Payment { claimed, event: Event::Captured } => (claimed.order, None, Topic::PaymentCaptured, claimed.amount),
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
    Done::Unresolved { work, retry_after: UNRESOLVED.delay(attempts, random).max(Duration::from_millis(50)) }
}

/// The line to the provider, as the service's own turn holds it: a call goes out, and its answer comes in.
#[derive(Clone, Default)]
struct Line(Arc<Mutex<OnLine>>);

#[derive(Default)]
struct OnLine {
    call: Option<Call>,
    answer: Option<Result<Answer, CallError>>,
    calls: u32,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, OnLine> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calls(&self) -> u32 {
        self.state().calls
    }

    async fn ask(&self, call: Call) -> Result<Answer, CallError> {
        self.state().call = Some(call);
        poll_fn(|_| self.state().answer.take().map_or(Poll::Pending, Poll::Ready)).await
    }

    async fn intent_after(&self, call: Call) -> Result<Intent, CallError> {
        match self.ask(call).await? {
            Answer::Intent(intent) => Ok(intent),
            Answer::Refund(_) | Answer::Nothing => Err(CallError::Unknown { detail: "not an intent".into() }),
        }
    }
}

impl Provider for Line {
    async fn authorise(&self, order: OrderId, amount: Money, card: &CardToken) -> Result<Intent, CallError> {
        self.intent_after(Call::Authorise { order, amount, card: card.expose().into() }).await
    }

    async fn capture(&self, order: OrderId, intent: &IntentId) -> Result<Intent, CallError> {
        self.intent_after(Call::Capture { order, intent: intent.clone() }).await
    }

    async fn void(&self, order: OrderId, intent: &IntentId) -> Result<Intent, CallError> {
        self.intent_after(Call::Void { order, intent: intent.clone() }).await
    }

    async fn refund(&self, refund: RefundId, intent: &IntentId, amount_minor: i64) -> Result<Receipt, CallError> {
        match self.ask(Call::Refund { refund, intent: intent.clone(), amount_minor }).await? {
            Answer::Refund(receipt) => Ok(receipt),
            Answer::Intent(_) | Answer::Nothing => Err(CallError::Unknown { detail: "not a refund".into() }),
        }
    }

    async fn intent_of(&self, order: OrderId) -> Result<Option<Intent>, CallError> {
        match self.ask(Call::IntentOf(order)).await? {
            Answer::Intent(intent) => Ok(Some(intent)),
            Answer::Refund(_) | Answer::Nothing => Ok(None),
        }
    }

    async fn intent(&self, intent: &IntentId) -> Result<Intent, CallError> {
        self.intent_after(Call::Intent(intent.clone())).await
    }

    async fn refund_of(&self, refund: RefundId) -> Result<Option<Receipt>, CallError> {
        match self.ask(Call::RefundOf(refund)).await? {
            Answer::Refund(receipt) => Ok(Some(receipt)),
            Answer::Intent(_) | Answer::Nothing => Ok(None),
        }
    }

    fn is_reachable(&self) -> bool {
        true
    }
}

/// Runs a turn of the service, carrying its calls over the simulated network.
async fn answered<T>(sim: &Sim, me: Me, line: &Line, turn: impl Future<Output = T>) -> T {
    let mut turn = pin!(turn);
    loop {
        if let Poll::Ready(outcome) = turn.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return outcome;
        }
        let call = line.state().call.take().expect("a turn waits for nothing but the provider");
        line.state().calls += 1;
        let answer = call_provider(sim, me, call).await;
        line.state().answer = Some(answer);
    }
}

/// What befalls one call of the provider.
async fn call_provider(sim: &Sim, me: Me, call: Call) -> Result<Answer, CallError> {
    let unknown = || Err(CallError::Unknown { detail: "no answer in time".into() });
    if sim.with(|world| world.provider_away_until > world.now || world.chance(world.plan.hostility / 4.0)) {
        sim.saw(Seen::ProviderAway);
        return Err(CallError::NotReached { detail: "no connection".into() });
    }
    if sim.with(|world| world.chance(world.plan.hostility)) {
        sim.saw(Seen::ProviderSilentBefore);
        sim.sleep(CALL_TIMEOUT).await;
        return unknown();
    }
    let is_late = sim.with(|world| world.chance(world.plan.hostility));
    let delay = if is_late { sim.random(0..6 * SECOND) } else { sim.random(5 * MILLISECOND..40 * MILLISECOND) };
    let is_silent = sim.with(|world| world.chance(world.plan.hostility));
    let is_error = sim.with(|world| world.chance(world.plan.hostility));
    let copies = if sim.with(|world| world.chance(world.plan.duplication)) { 2 } else { 1 };
    let slot = Slot::new(sim);
    for _ in 0..copies {
        let (sim, slot, call) = (sim.clone(), slot.clone(), call.clone());
        sim.clone().spawn(async move {
            sim.sleep(delay).await;
            if delay > CALL_TIMEOUT {
                sim.saw(Seen::ProviderLate);
            }
            let (is_new, outcome) = sim.with(|world| world.provider_executes(me.region, &call));
            if is_new {
                webhook(&sim, me, &call);
            }
            if is_silent {
                return sim.saw(Seen::ProviderSilentAfter);
            }
            if is_error {
                sim.saw(Seen::ProviderError);
                return slot.fill(Err(CallError::Unknown { detail: "status 500".into() }));
            }
            sim.sleep(delay / 4).await;
            slot.fill(outcome);
        });
    }
    sim.within(CALL_TIMEOUT, slot).await.unwrap_or_else(unknown)
}

/// Webhooks are lost, late, in any order, and come twice.
fn webhook(sim: &Sim, me: Me, call: &Call) {
    let Some(subject) = call.subject() else { return };
    let id = sim.with(|world| world.number());
    if sim.with(|world| world.chance(world.plan.loss)) {
        return sim.saw(Seen::WebhookLost);
    }
    let copies = if sim.with(|world| world.chance(world.plan.duplication)) { 2 } else { 1 };
    if copies > 1 {
        sim.saw(Seen::WebhookTwice);
    }
    for _ in 0..copies {
        let (sim, delay) = (sim.clone(), network::delay(sim));
        sim.clone().spawn(async move {
            sim.sleep(delay).await;
            let process = sim.with(|world| world.any_process(Service::Payment, me.region));
            let host = sim.clone();
            sim.spawn_in(process, async move {
                let _ = statement(&host, |world| world.hint(me.region, id, subject)).await;
            });
        });
    }
}


/// A card's token as the service takes it.
pub fn card(token: &str) -> CardToken {
    CardToken::new(token).expect("a token")
}
