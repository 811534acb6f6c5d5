//! The line between the service's own turn and the simulated provider.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::future::poll_fn;
use ids::{OrderId, RefundId};
use money::Money;
use payment::domain::{CardToken, IntentId};
use payment::psp::{CallError, Intent, Provider, Receipt};

use super::wire::call_provider;
use crate::provider::{Answer, Call};
use crate::runtime::Sim;
use crate::services::Me;

/// The line to the provider, as the service's own turn holds it: a call goes out, and its answer comes in.
#[derive(Clone, Default)]
pub struct Line(Arc<Mutex<OnLine>>);

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

    pub fn calls(&self) -> u32 {
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
pub(super) async fn answered<T>(sim: &Sim, me: Me, line: &Line, turn: impl Future<Output = T>) -> T {
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
