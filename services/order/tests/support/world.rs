//! The cart, the inventory and payment in memory, each as its contract says, with faults on demand.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ids::{CartId, OrderId, RefundId};
use order::domain::{CardToken, CutLine, Order, PlaceRequest, Refusal, RefusalKind, Share};
use order::sagas::{CallError, Cart, Cut, Inventory, Payment};
use tokio::sync::Notify;
use tonic::async_trait;

use super::cut_line;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    BeginCheckout,
    AbandonCheckout,
    Reserve,
    Release,
    Authorise,
    Void,
    Refund,
}

/// What goes wrong with one call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The request never arrives.
    LoseRequest,
    /// The answer never arrives.
    LoseAnswer,
    /// The callee says no.
    Refuse(Refusal),
    /// The call stops before it has its effect, until let go.
    HoldBefore,
    /// The call stops after its effect, until let go.
    HoldAfter,
    /// The request arrives twice.
    Twice,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Held,
    LetGo,
    No(Refusal),
}

#[derive(Default)]
struct State {
    lines: Option<Vec<CutLine>>,
    cuts: HashMap<(CartId, String), Cut>,
    /// The order that cuts were made for already, in the other region.
    cut_for: Option<OrderId>,
    abandoned: HashSet<OrderId>,
    stock: HashMap<OrderId, Outcome>,
    money: HashMap<OrderId, Outcome>,
    captured: HashSet<OrderId>,
    /// What the provider took of each order at most.
    came_in_at_most: Option<i64>,
    refunds: HashMap<RefundId, i64>,
    calls: Vec<Method>,
    faults: HashMap<Method, VecDeque<Fault>>,
    /// The fault of the n-th call of all.
    fault_at: Option<(usize, Fault)>,
    twice: bool,
}

#[derive(Default)]
pub struct World {
    state: Mutex<State>,
    /// Notified when a call is held.
    pub reached: Notify,
    /// Lets one held call go.
    pub let_go: Notify,
}

impl World {
    /// From now on the provider has taken no more than this of any order.
    pub fn came_in_at_most(&self, minor: i64) {
        self.state().came_in_at_most = Some(minor);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn sell(&self, lines: Vec<CutLine>) {
        self.state().lines = Some(lines);
    }

    /// As if the cart's checkouts had been begun in the other region, for this order.
    pub fn cuts_belong_to(&self, order: OrderId) {
        self.state().cut_for = Some(order);
    }

    pub fn fail(&self, method: Method, fault: Fault) {
        self.state().faults.entry(method).or_default().push_back(fault);
    }

    pub fn fail_call(&self, index: usize, fault: Fault) {
        self.state().fault_at = Some((index, fault));
    }

    /// Takes back the faults that are still to come.
    pub fn mend(&self) {
        self.state().faults.clear();
    }

    pub fn deliver_everything_twice(&self) {
        self.state().twice = true;
    }

    pub fn calls(&self) -> Vec<Method> {
        self.state().calls.clone()
    }

    pub fn capture(&self, id: OrderId) {
        self.state().captured.insert(id);
    }

    pub fn refunded_minor(&self) -> i64 {
        self.state().refunds.values().sum()
    }

    /// The order that was cut for the cart.
    pub fn order_of(&self, cart: CartId) -> Option<OrderId> {
        self.state().cuts.iter().find(|((of, _), _)| *of == cart).map(|(_, cut)| cut.order)
    }

    /// What is held for an order: (cut, stock, money).
    pub fn held(&self, id: OrderId) -> (bool, bool, bool) {
        let state = self.state();
        let is_cut = state.cuts.values().any(|cut| cut.order == id) && !state.abandoned.contains(&id);
        (is_cut, state.stock.get(&id) == Some(&Outcome::Held), state.money.get(&id) == Some(&Outcome::Held))
    }

    /// Runs one call: its fault, its effect, its answer.
    async fn call<T>(
        &self,
        method: Method,
        effect: impl Fn(&mut State) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let fault = {
            let mut state = self.state();
            let index = state.calls.len();
            state.calls.push(method);
            match state.fault_at.take_if(|(at, _)| *at == index) {
                Some((_, fault)) => Some(fault),
                None => state.faults.get_mut(&method).and_then(VecDeque::pop_front),
            }
        };
        let twice = self.state().twice;
        match fault {
            Some(Fault::LoseRequest) => return Err(lost()),
            Some(Fault::Refuse(refusal)) => return Err(refusal.into()),
            Some(Fault::HoldBefore) => self.hold().await,
            _ => {}
        }
        if twice || matches!(fault, Some(Fault::Twice)) {
            let _ = effect(&mut self.state());
        }
        let answer = effect(&mut self.state());
        match fault {
            Some(Fault::LoseAnswer) => return Err(lost()),
            Some(Fault::HoldAfter) => self.hold().await,
            _ => {}
        }
        answer
    }

    async fn hold(&self) {
        self.reached.notify_one();
        self.let_go.notified().await;
    }
}

fn lost() -> CallError {
    CallError::Unknown { callee: "world", detail: "lost".to_owned() }
}

pub fn refusal(reason: &str) -> Refusal {
    Refusal::new(RefusalKind::FailedPrecondition, reason, "no")
}

/// Reserve and Authorise: a stored outcome is given again; what was let go before it came is refused.
fn take(
    outcomes: &mut HashMap<OrderId, Outcome>,
    id: OrderId,
    wanted: Outcome,
    tombstone: &str,
) -> Result<(), CallError> {
    match outcomes.entry(id).or_insert(wanted) {
        Outcome::Held => Ok(()),
        Outcome::LetGo => Err(refusal(tombstone).into()),
        Outcome::No(refusal) => Err(refusal.clone().into()),
    }
}

#[async_trait]
impl Cart for World {
    async fn begin_checkout(&self, request: &PlaceRequest, new_order: OrderId, _: Duration) -> Result<Cut, CallError> {
        let key = (request.cart, request.idempotency_key.to_string());
        self.call(Method::BeginCheckout, |state| {
            let lines = state.lines.clone().unwrap_or_else(|| {
                vec![cut_line("mug", "potter", 255, "GBP", 6), cut_line("bowl", "potter", 900, "GBP", 1)]
            });
            let order = state.cut_for.unwrap_or(new_order);
            Ok(state.cuts.entry(key.clone()).or_insert(Cut { order, lines }).clone())
        })
        .await
    }

    async fn abandon_checkout(&self, _: CartId, order: OrderId, _: Duration) -> Result<(), CallError> {
        self.call(Method::AbandonCheckout, |state| {
            state.abandoned.insert(order);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Inventory for World {
    async fn reserve(&self, order: &Order, _: Duration) -> Result<(), CallError> {
        let is_short = order.lines.iter().any(|line| line.offer.as_str() == "sold-out");
        let outcome = if is_short { Outcome::No(refusal("OUT_OF_STOCK")) } else { Outcome::Held };
        self.call(Method::Reserve, |state| take(&mut state.stock, order.id, outcome.clone(), "RESERVATION_RELEASED"))
            .await
    }

    async fn release(&self, order: OrderId, _: Duration) -> Result<(), CallError> {
        self.call(Method::Release, |state| {
            state.stock.insert(order, Outcome::LetGo);
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl Payment for World {
    async fn authorise(&self, order: &Order, card: &CardToken, _: Duration) -> Result<(), CallError> {
        let is_declined = card.reveal() == "tok_chargeDeclined";
        let outcome = if is_declined { Outcome::No(refusal("CARD_DECLINED")) } else { Outcome::Held };
        self.call(Method::Authorise, |state| take(&mut state.money, order.id, outcome.clone(), "PAYMENT_VOIDED")).await
    }

    async fn void(&self, order: OrderId, _: Duration) -> Result<(), CallError> {
        self.call(Method::Void, |state| {
            state.money.insert(order, Outcome::LetGo);
            Ok(())
        })
        .await
    }

    async fn refund(&self, refund: RefundId, order: OrderId, shares: &[Share], _: Duration) -> Result<i64, CallError> {
        self.call(Method::Refund, |state| {
            if !state.captured.contains(&order) {
                return Err(refusal("PAYMENT_NOT_CAPTURED").into());
            }
            let asked_minor: i64 = shares.iter().map(|share| share.amount_minor).sum();
            let paid_minor = state.came_in_at_most.map_or(asked_minor, |most| most.min(asked_minor));
            state.refunds.insert(refund, paid_minor);
            Ok(paid_minor)
        })
        .await
    }
}
