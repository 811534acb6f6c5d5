//! `services/order`: requests, the saga's driver, recovery, refunds, fulfilment.
//!
//! The plan, its table, the order's lifecycle and the decisions about returns are the service's own. What is written here follows
//! `sagas/place_order/{begin,drive,steps}.rs`, `sagas/{cancel,return}_order.rs` and `workers` line by line, over the simulated stores.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use chassis::retry::Backoff;
use futures::future::{Either, select};
use ids::{OrderId, RefundId};
use ::inventory::domain::{Lines, ReserveRefusal};
use order::domain::{CardToken, Fate, Order, OrderState, Refusal, RefusalKind, ReturnLine, shares_of};
use order::sagas::place_order::{PLAN, Step};
use ::payment::domain::refund::RefundRejected;
use ::payment::domain::{Share, Shares, State as PaymentState, Terms, TermsDigest};
use ::payment::store::RefundState;
use saga::{Duty as SagaDuty, Event as SagaEvent, State};

use super::{Me, cart, inventory as stock, payment};
use crate::consumer::Consumer;
use crate::coverage::Seen;
use crate::network::call;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::spine::{Database, Event, Lost, Topic, append, statement};
use crate::stores::orders::{Claimed, Duty, Fence};
use crate::stores::stock::Wanted;
use crate::world::{Service, date};
use crate::{MILLISECOND, Micros, SECOND, Verdict};

/// `return_order::LEASE`.
pub const RETURN_LEASE: Micros = 4 * SECOND;
/// `drive::CALL_MAX`.
const CALL_MAX: Micros = 3 * SECOND;
/// `recovery::TURN_MAX`.
const TURN_MAX: Micros = 2 * SECOND;
const BETWEEN_TRIES: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
const BETWEEN_TURNS: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));

/// `workers::fulfilment::schedule`.
pub const FULFILMENT: Consumer = Consumer {
    group: "order-fulfilment",
    topics: &[Topic::OrderPlaced],
    effect: |world, at, event| world.schedule(at, event.order),
};

/// `workers::payment_events`.
pub const PAYMENT_EVENTS: Consumer = Consumer {
    group: "order",
    topics: &[Topic::PaymentCaptured, Topic::PaymentRefunded],
    effect: |world, at, event| match event.refund {
        None => world.mark_captured(at, event.order, event.amount_minor),
        Some(refund) if world.mark_refunded(at, refund) == Some(event.amount_minor) => Ok(()),
        Some(_) => Err("matches nothing here".to_owned()),
    },
};

/// What a shopper asks for, with its key.
pub struct PlaceRequest {
    /// The key: unique.
    pub number: u64,
    pub card: CardToken,
    /// The order that the cut makes, but for its id.
    pub draft: Order,
}

/// What a shopper is told.
#[derive(Clone, Debug)]
pub enum PlaceAnswer {
    Placed(OrderId),
    /// It is driven on without the caller.
    Undecided,
    Refused(Refusal),
    /// Nothing is known; the same request may be sent again.
    Unavailable,
}

/// `drive::Turn`.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Placed,
    Rejected(Refusal),
    Undecided,
    Superseded,
}

/// `steps::Attempt`.
enum Attempt {
    Done,
    Refused(Refusal),
    Unknown,
    Superseded,
}

/// `Placing`, under its fence.
struct Placing {
    order: Order,
    state: State<Step, Refusal>,
    card: Option<CardToken>,
    fence: Fence,
}

/// `GetOrderFate`, over the network: the outer option is the answer, the inner whether the order is known.
pub async fn ask_fate(sim: &Sim, me: Me, order: OrderId) -> Option<Option<Fate>> {
    let ask = move |sim: Sim, there: Me| async move {
        sim.moment().await;
        sim.with(|world| world.regions[there.region].orders.fate(order))
    };
    call(sim, (me.region, me.region), Service::Order, SECOND, ask).await
}

/// `PlaceOrder::place`.
pub async fn place(sim: Sim, me: Me, request: Rc<PlaceRequest>, until: Micros) -> PlaceAnswer {
    place_or_lost(&sim, me, &request, until).await.unwrap_or(PlaceAnswer::Unavailable)
}

async fn place_or_lost(sim: &Sim, me: Me, request: &Rc<PlaceRequest>, until: Micros) -> Result<PlaceAnswer, Lost> {
    if let Some(known) = known_request(sim, me, request) {
        return settle(sim, me, known, request, until).await;
    }
    let (number, new_order) = (request.number, sim.with(|world| world.new_order_id()));
    let key = sim.with(|world| if world.removed(Sabotage::RequestKey) { world.number() } else { number });
    let cut = call(sim, (me.region, me.region), Service::Cart, CALL_MAX, move |sim, there| {
        cart::begin_checkout(sim, there, key, new_order)
    });
    let Some(Ok(id)) = cut.await else { return Ok(PlaceAnswer::Unavailable) };
    let order = Order { id, created_at: date(sim.now()), ..request.draft.clone() };
    let limit = sim.with(|world| world.plan.placement_limit);
    let not_after = deadline(&order, limit);
    let stored = statement(sim, |world| world.insert_pending(me.region, (&order, number), &request.card, not_after));
    if let Some(fence) = stored.await? {
        let placing = Placing { state: PLAN.start(), card: Some(request.card.clone()), fence, order };
        return Ok(match turn(sim, me, placing, until).await? {
            Turn::Placed => PlaceAnswer::Placed(id),
            Turn::Rejected(refusal) => PlaceAnswer::Refused(refusal),
            Turn::Undecided => PlaceAnswer::Undecided,
            Turn::Superseded => return settle(sim, me, id, request, until).await,
        });
    }
    if let Some(known) = known_request(sim, me, request) {
        return settle(sim, me, known, request, until).await;
    }
    // The cut came too late to be an order.
    let abandon = move |sim, there| cart::abandon_checkout(sim, there, id);
    match call(sim, (me.region, me.region), Service::Cart, CALL_MAX, abandon).await {
        Some(Ok(())) => {
            Ok(PlaceAnswer::Refused(Refusal::new(RefusalKind::FailedPrecondition, "CHECKOUT_EXPIRED", "too late")))
        }
        _ => Ok(PlaceAnswer::Unavailable),
    }
}

fn known_request(sim: &Sim, me: Me, request: &PlaceRequest) -> Option<OrderId> {
    sim.with(|world| {
        let is_unkeyed = world.removed(Sabotage::RequestKey);
        let known = world.regions[me.region].orders.by_request.get(&request.number).copied().filter(|_| !is_unkeyed);
        if known.is_some() {
            world.saw(Seen::KnownRequest);
        }
        known
    })
}

/// When the order's time is up, by its own rule.
fn deadline(order: &Order, limit: Micros) -> Micros {
    let at = order.placement_deadline(Duration::from_micros(limit));
    let since = at.signed_duration_since(date(0)).num_microseconds().unwrap_or(i64::MAX);
    Micros::try_from(since).unwrap_or(0)
}

/// `begin::settle`: waits until it is decided, and drives it if nobody else does.
async fn settle(sim: &Sim, me: Me, id: OrderId, request: &PlaceRequest, until: Micros) -> Result<PlaceAnswer, Lost> {
    loop {
        let state = sim.with(|world| world.regions[me.region].orders.rows[&id].order.state.clone());
        match state {
            OrderState::Rejected(refusal) => return Ok(PlaceAnswer::Refused(refusal)),
            OrderState::Pending | OrderState::Compensating(_) if sim.now() < until => {}
            OrderState::Pending | OrderState::Compensating(_) => return Ok(PlaceAnswer::Undecided),
            OrderState::Placed | OrderState::Shipped | OrderState::Cancelled => return Ok(PlaceAnswer::Placed(id)),
        }
        let claimed = statement(sim, |world| world.claim_order(me.region, id)).await?;
        if let Some(claimed) = claimed
            && let Some(placing) = placing(claimed)
        {
            debug_assert_eq!(placing.order.cart, request.draft.cart);
            turn(sim, me, placing, until).await?;
            continue;
        }
        let pause = sim.random(0..300 * MILLISECOND);
        sim.sleep(pause).await;
    }
}

/// `Placing::forward` and `Placing::back`.
fn placing(claimed: Claimed) -> Option<Placing> {
    let fence = claimed.fence;
    match claimed.duty {
        Duty::Forward(order, card) => Some(Placing { order: *order, state: PLAN.start(), card: Some(card), fence }),
        Duty::Back(order, next, reason) => {
            Some(Placing { order: *order, state: State::Unwinding { next, reason }, card: None, fence })
        }
        Duty::Void => None,
    }
}

/// `PlaceOrder::turn`: drives while the lease is held.
async fn turn(sim: &Sim, me: Me, placing: Placing, until: Micros) -> Result<Turn, Lost> {
    let (id, fence) = (placing.order.id, placing.fence);
    match select(pin!(drive(sim, me, placing, until)), pin!(hold(sim, me, id, fence))).await {
        Either::Left((turn, _)) => turn,
        Either::Right(_) => Ok(Turn::Superseded),
    }
}

/// `Store::hold`.
async fn hold(sim: &Sim, me: Me, id: OrderId, fence: Fence) {
    loop {
        let third = sim.with(|world| world.plan.lease / 3);
        sim.sleep(third).await;
        if let Ok(false) = statement(sim, |world| world.renew(me.region, id, fence)).await {
            return;
        }
    }
}

/// `PlaceOrder::drive`.
async fn drive(sim: &Sim, me: Me, mut placing: Placing, until: Micros) -> Result<Turn, Lost> {
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
            SagaDuty::Compensate(step) => match compensate(sim, me, step, &placing.order, within).await {
                Attempt::Done => Some(SagaEvent::Compensated(step)),
                Attempt::Refused(_) | Attempt::Unknown | Attempt::Superseded => None,
            },
        };
        let Some(event) = event else {
            tries += 1;
            let pause = micros(BETWEEN_TRIES.delay(tries, sim.random(0.0..1.0)));
            if sim.now() + pause >= until {
                return Ok(Turn::Undecided);
            }
            sim.sleep(pause).await;
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

/// `PlaceOrder::act`.
async fn act(sim: &Sim, me: Me, step: Step, placing: &Placing, within: Micros) -> Result<Attempt, Lost> {
    let (id, here) = (placing.order.id, (me.region, me.region));
    Ok(match step {
        Step::CutCart => Attempt::Done,
        Step::ReserveStock => {
            let wanted = wanted(&placing.order);
            let reserve = move |sim, there| stock::reserve(sim, there, wanted.clone());
            match call(sim, here, Service::Inventory, within, reserve).await {
                Some(Ok(())) => Attempt::Done,
                Some(Err(stock::ReserveError::OutOfStock)) => refused("OUT_OF_STOCK"),
                Some(Err(stock::ReserveError::Refused(ReserveRefusal::Released))) => refused("RESERVATION_RELEASED"),
                Some(Err(stock::ReserveError::Refused(ReserveRefusal::KeyReused))) => {
                    sim.with(|world| world.fail(Verdict::Illegal, format!("{id} reserved with other lines")));
                    Attempt::Unknown
                }
                Some(Err(stock::ReserveError::Unavailable)) | None => Attempt::Unknown,
            }
        }
        Step::AuthorisePayment => {
            let terms = terms(&placing.order, placing.card.as_ref().map_or("", |card| card.reveal()));
            let authorise = move |sim, there| payment::authorise(sim, there, id, terms.clone());
            match call(sim, here, Service::Payment, within, authorise).await {
                Some(Ok(PaymentState::Authorised { .. } | PaymentState::Capturing { .. } | PaymentState::Captured { .. })) => {
                    Attempt::Done
                }
                Some(Ok(PaymentState::Declined { .. })) => refused("CARD_DECLINED"),
                Some(Ok(PaymentState::Abandoning | PaymentState::Voiding { .. } | PaymentState::Voided)) => {
                    refused("PAYMENT_VOIDED")
                }
                Some(Err(payment::AuthoriseError::OtherTerms)) => {
                    sim.with(|world| world.fail(Verdict::Illegal, format!("{id} authorised on other terms")));
                    Attempt::Unknown
                }
                Some(Ok(PaymentState::Authorising) | Err(payment::AuthoriseError::Unavailable)) | None => Attempt::Unknown,
            }
        }
        Step::Place => {
            if sim.with(|world| world.removed(Sabotage::AnswerAfterCommit)) {
                sim.with(|world| world.told_placed(me.region, id));
            }
            let event = said(sim, me, Topic::OrderPlaced, id);
            let at = (me.region, Database::Order);
            let placed = append(sim, at, event, |world| {
                let placed = world.mark_placed(me.region, id, placing.fence);
                (placed, placed)
            });
            if placed.await? { Attempt::Done } else { Attempt::Superseded }
        }
    })
}

/// `PlaceOrder::compensate`.
async fn compensate(sim: &Sim, me: Me, step: Step, order: &Order, within: Micros) -> Attempt {
    let (id, here) = (order.id, (me.region, me.region));
    match step {
        Step::CutCart => {
            let abandon = move |sim, there| cart::abandon_checkout(sim, there, id);
            match call(sim, here, Service::Cart, within, abandon).await {
                Some(Ok(())) => Attempt::Done,
                Some(Err(Lost)) | None => Attempt::Unknown,
            }
        }
        Step::ReserveStock => {
            match call(sim, here, Service::Inventory, within, move |sim, there| stock::release(sim, there, id)).await {
                Some(Ok(Ok(()))) => Attempt::Done,
                Some(Ok(Err(refusal))) => must_look(sim, format!("release of {id}: {refusal}")),
                Some(Err(Lost)) | None => Attempt::Unknown,
            }
        }
        Step::AuthorisePayment => {
            match call(sim, here, Service::Payment, within, move |sim, there| payment::void(sim, there, id)).await {
                Some(Ok(Some(PaymentState::Voided | PaymentState::Declined { .. }))) => Attempt::Done,
                Some(Ok(None)) => must_look(sim, format!("void of {id} was refused")),
                Some(Ok(Some(_)) | Err(Lost)) | None => Attempt::Unknown,
            }
        }
        Step::Place => Attempt::Done,
    }
}

/// What the services log as "somebody must look": never in an honest world.
fn must_look(sim: &Sim, what: String) -> Attempt {
    sim.with(|world| world.fail(Verdict::Illegal, what));
    Attempt::Unknown
}

fn refused(reason: &str) -> Attempt {
    Attempt::Refused(Refusal::new(RefusalKind::FailedPrecondition, reason, "refused"))
}

/// What the order asks of inventory.
fn wanted(order: &Order) -> Wanted {
    let lines = order.lines.iter().map(|line| (line.offer.as_str(), line.quantity));
    let lines = Lines::parse(lines.collect::<Vec<_>>().into_iter()).expect("lines of an order");
    Wanted { order: order.id, digest: lines.digest(""), lines }
}

/// What the order asks of payment.
fn terms(order: &Order, card: &str) -> Rc<(Terms, TermsDigest)> {
    let parts = order.lines.iter().map(|line| (&line.seller, line.unit_price_minor, line.quantity));
    let shares = payment_shares(&shares_of(parts).expect("small amounts"));
    let card = payment::card(card);
    let terms = Terms::new(order.total, card, shares).expect("shares that make the total");
    let digest = terms.digest();
    Rc::new((terms, digest))
}

fn payment_shares(shares: &[order::domain::Share]) -> Shares {
    let share = |share: &order::domain::Share| Share { seller: share.seller.clone(), amount_minor: share.amount_minor };
    Shares::new(shares.iter().map(share).collect()).expect("shares of an order")
}

fn said(sim: &Sim, me: Me, topic: Topic, order: OrderId) -> Event {
    let id = sim.with(|world| world.number());
    Event { id, topic, order, refund: None, amount_minor: 0, home: me.region }
}

fn micros(duration: Duration) -> Micros {
    Micros::try_from(duration.as_micros()).expect("a short time")
}

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
        None => match select(pin!(void_cancelled(sim, me, id, fence)), pin!(hold(sim, me, id, fence))).await {
            Either::Left((ended, _)) => ended.unwrap_or(false),
            Either::Right(_) => true,
        },
    };
    if !has_ended {
        let delay = micros(BETWEEN_TURNS.delay(attempts + 1, sim.random(0.0..1.0)));
        let _ = statement(sim, |world| world.put_off(me.region, id, fence, delay)).await;
    }
}

/// `CancelOrder::void`: the step after the pivot, retried until it succeeds.
async fn void_cancelled(sim: &Sim, me: Me, id: OrderId, fence: Fence) -> Result<bool, Lost> {
    let void = move |sim, there| payment::void(sim, there, id);
    match call(sim, (me.region, me.region), Service::Payment, CALL_MAX, void).await {
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

/// `CancelOrder::cancel`. `Some(true)`: it is cancelled; `Some(false)`: it cannot be.
pub async fn cancel(sim: Sim, me: Me, id: OrderId) -> Option<bool> {
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

/// `ReturnOrder::take_back`: the refund, or why not.
pub async fn take_back(
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
        Some(Ok(Ok(RefundState::Succeeded))) => {
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
