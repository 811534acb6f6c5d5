//! `steps.rs`: what each step does, what undoes it, and what the answers mean.

use std::rc::Rc;

use ::inventory::domain::{Lines, ReserveRefusal};
use ::payment::domain::{Share, Shares, State as PaymentState, Terms, TermsDigest};
use order::domain::{Order, Refusal, RefusalKind};
use order::sagas::place_order::Step;

use super::drive::{Placing, beside};
use super::said;
use crate::network::call;
use crate::runtime::Sim;
use crate::sabotage::Sabotage;
use crate::services::{Me, cart, inventory as stock, payment};
use crate::spine::{Database, Lost, Topic, append};
use crate::stores::stock::Wanted;
use crate::world::Service;
use crate::{Micros, Verdict};

/// `steps::Attempt`.
pub(super) enum Attempt {
    Done,
    Refused(Refusal),
    Unknown,
    Superseded,
}

/// `PlaceOrder::act`.
pub(super) async fn act(sim: &Sim, me: Me, step: Step, placing: &Placing, within: Micros) -> Result<Attempt, Lost> {
    let (id, here) = (placing.order.id, (me.region, me.region));
    let held = (id, placing.fence);
    Ok(match step {
        Step::CutCart => Attempt::Done,
        Step::ReserveStock => {
            let wanted = wanted(&placing.order);
            let reserve = move |sim, there| stock::reserve(sim, there, wanted.clone());
            let reserved = beside(sim, me, held, call(sim, here, Service::Inventory, within, reserve));
            let Some(reserved) = reserved.await else { return Ok(Attempt::Superseded) };
            match reserved {
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
            let authorised = beside(sim, me, held, call(sim, here, Service::Payment, within, authorise));
            let Some(authorised) = authorised.await else { return Ok(Attempt::Superseded) };
            match authorised {
                Some(Ok(
                    PaymentState::Authorised { .. }
                    | PaymentState::Capturing { .. }
                    | PaymentState::Captured { .. }
                    | PaymentState::Uncollected,
                )) => Attempt::Done,
                Some(Ok(PaymentState::Declined { .. })) => refused("CARD_DECLINED"),
                Some(Ok(PaymentState::Abandoning | PaymentState::Voiding { .. } | PaymentState::Voided)) => {
                    refused("PAYMENT_VOIDED")
                }
                Some(Err(payment::AuthoriseError::OtherTerms)) => {
                    sim.with(|world| world.fail(Verdict::Illegal, format!("{id} authorised on other terms")));
                    Attempt::Unknown
                }
                Some(Ok(PaymentState::Authorising) | Err(payment::AuthoriseError::Unavailable)) | None => {
                    Attempt::Unknown
                }
            }
        }
        Step::Place => {
            if sim.with(|world| world.removed(Sabotage::AnswerAfterCommit)) {
                sim.with(|world| world.told_placed(id));
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
pub(super) async fn compensate(sim: &Sim, me: Me, step: Step, order: &Order, within: Micros) -> Attempt {
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
pub(super) fn must_look(sim: &Sim, what: String) -> Attempt {
    sim.with(|world| world.fail(Verdict::Illegal, what));
    Attempt::Unknown
}

fn refused(reason: &str) -> Attempt {
    Attempt::Refused(Refusal::new(RefusalKind::FailedPrecondition, reason, "refused"))
}

/// What the order asks of inventory.
fn wanted(order: &Order) -> Wanted {
    let lines = order.lines.iter().map(|line| (line.offer.as_str(), line.quantity()));
    let lines = Lines::parse(lines.collect::<Vec<_>>().into_iter()).expect("lines of an order");
    Wanted { order: order.id, digest: lines.digest(""), lines }
}

/// What the order asks of payment.
fn terms(order: &Order, card: &str) -> Rc<(Terms, TermsDigest)> {
    let shares = payment_shares(&order.shares().expect("small amounts"));
    let card = payment::card(card);
    let terms = Terms::new(order.total, card, shares).expect("shares that make the total");
    let digest = terms.digest();
    Rc::new((terms, digest))
}

pub(super) fn payment_shares(shares: &[order::domain::Share]) -> Shares {
    let share = |share: &order::domain::Share| Share { seller: share.seller.clone(), amount_minor: share.amount_minor };
    Shares::new(shares.iter().map(share).collect()).expect("shares of an order")
}
