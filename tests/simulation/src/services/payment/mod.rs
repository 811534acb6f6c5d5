//! `services/payment`: the driver around its own turn. What a turn asks and calls, and what it makes of the answers, is the service's
//! own code (`payment::driver`), run here against the simulated provider.

mod line;
mod turns;
mod wire;

use std::rc::Rc;

use ids::{OrderId, RefundId};
use payment::domain::refund::RefundRejected;
use payment::domain::{CardToken, Event, Shares, State, Terms, TermsDigest};
use payment::store::{RefundState, Work};

use super::Me;
use crate::consumer::Consumer;
use crate::coverage::Seen;
use crate::runtime::{Sim, Slot};
use crate::spine::{Lost, Topic, statement};
use crate::stores::payments::{Begun, Follow, Reserved};
use crate::{Micros, SECOND};

pub use turns::drive_due;
use turns::take_turns;

/// `store::LEASE`.
pub const LEASE: Micros = 8 * SECOND;
/// Basis points.
pub const COMMISSION: u16 = 1_000;
/// `driver::WAIT_MAX`, shorter.
const WAIT_MAX: Micros = 2 * SECOND;

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
        Begun::Exists(State::Authorising) => {
            match statement(&sim, |world| world.claim_payment(me.region, order)).await? {
                Some(claimed) => Ok(drive(&sim, me, Work::Payment(claimed)).await.unwrap_or(State::Authorising)),
                None => Ok(stored(&sim, me, order)),
            }
        }
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
        Reserved::Exists(state @ (RefundState::Succeeded | RefundState::Cancelled)) => return Ok(Ok(state)),
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

/// A card's token as the service takes it.
pub fn card(token: &str) -> CardToken {
    CardToken::new(token).expect("a token")
}
