//! Placing an order: cut the cart, reserve stock, authorise payment, **place** (pivot).
//!
//! Read [`plan`] for the steps, `steps` for what each does and why repeating it is harmless, [`drive`] for one driver's turn,
//! [`begin`] for how a request begins or finds its order, and the battery in `tests/place_order.rs`.
//!
//! # Why there is no saga log
//! The usual engine commits a log record before and after each step. Here one row with a state does, because:
//!
//! 1. Every step is idempotent under a key derived from the order id, and its callee stores the outcome. So a driver that
//!    does not know how far the saga came starts again at the first step: what was done answers as it did the first time, and
//!    the first step that was not done is done now.
//!    (Inventory stores no refusal, so a refused reserve counts as one whose outcome is unknown: `Step::refused`.)
//! 2. The pending row is committed before the first call that names the order to inventory or payment. So whoever holds
//!    something for an order that is unknown here knows that it will never be placed.
//! 3. Turning round is durable before the first compensation. So no driver can go forward over a compensation: the pivot is
//!    guarded by `state = 'pending'`.
//! 4. Compensations leave tombstones. A forward call that was delayed past its own compensation is refused by its callee.
//!
//! That costs two commits for an order that is placed (the row, the pivot), and no more however often it is driven.
//!
//! # One driver at a time
//! A lease in the row keeps drivers apart, so that work is not done twice. If two drive all the same (a process was suspended
//! past its lease), they call the same callees under the same keys and get the same outcomes. Only the one that claimed last can
//! write: each claim hands out a fencing token, and each write carries it. Should one go on and the other turn round, the row
//! decides between them, and by 3 and 4 the loser's calls have no effect that lasts.
//!
//! # Time
//! Before the pivot an order has a bounded time from the moment its id was made. After it, an unknown outcome is no longer
//! asked about: the saga unwinds, which is safe by 4. The same bound ends the time in which a cut may become an order at all.
//! A compensation that is refused, which cannot be, parks the order.

mod begin;
mod drive;
mod plan;
mod steps;

use std::time::Duration;

use chassis::status::reasons::CART_VERSION_AHEAD;
use ids::OrderId;

use crate::domain::{CardToken, Order, Refusal};
use crate::sagas::{Callees, Patience};
use crate::store::{Store, StoreError};

pub use drive::Turn;
pub use plan::{PLAN, Step};

/// How patient the saga is.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long an order may be undecided, from the moment its id was made. Shorter unwinds orders that a slow provider would
    /// have paid; longer leaves shoppers in the dark. Services that ask for the fate of what they hold for an order unknown
    /// here must let at least this time pass first.
    pub placement_limit: Duration,
    /// How long a driver may be silent before another takes over: how soon orders of a process that died are picked up.
    /// Renewed at a third of it, so shorter costs commits for orders that wait.
    pub lease: Duration,
    /// When a saga that gets nowhere is parked.
    pub patience: Patience,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            placement_limit: Duration::from_secs(60),
            lease: Duration::from_millis(1_500),
            // Turns of up to 2 s with pauses of 2.5 s on average: 20 to 40 minutes, longer than any restart or failover.
            patience: Patience { attempts_max: 500 },
        }
    }
}

/// The saga's parameters and position, as the order's row holds them.
#[derive(Debug, Clone)]
pub struct Placing {
    /// The order.
    pub order: Order,
    /// Where the saga stands.
    pub state: saga::State<Step, Refusal>,
    /// What pays; gone once the saga unwinds.
    card_token: Option<CardToken>,
}

impl Placing {
    /// A pending order, driven from the first step whatever has been done already.
    pub fn forward(order: Order, card_token: CardToken) -> Self {
        Self { order, state: PLAN.start(), card_token: Some(card_token) }
    }

    /// A compensating order: compensations run from that of `step` backwards, whatever has been compensated already.
    pub const fn back(order: Order, step: Step, reason: Refusal) -> Self {
        Self { order, state: saga::State::Unwinding { next: step, reason }, card_token: None }
    }
}

/// Places orders. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PlaceOrder {
    store: Store,
    callees: Callees,
    settings: Settings,
}

impl PlaceOrder {
    /// The saga over a store and the services it calls.
    pub const fn new(store: Store, callees: Callees, settings: Settings) -> Self {
        Self { store, callees, settings }
    }

    /// How patient it is.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }
}

/// What to do about a version of the cart that is ahead of this region's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arriving {
    /// Say so: the shopper is here, and reads the cart again.
    Told,
    /// Wait for it: the request was handed on by the region in which the shopper edits the cart.
    Awaited,
}

/// Why a request did not get an order.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A definite no; the lines are back in the cart. A repeat gets the same.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The key was used for another request.
    #[error("the idempotency key was used for another order request")]
    KeyReused,
    /// The other region made an order of this request, or has begun to: it alone answers. Nothing was started here.
    #[error("order {0} belongs to the other region")]
    Elsewhere(OrderId),
    /// Nothing is decided, and nobody drives it: the same request may be sent again.
    #[error("{callee} is unavailable")]
    Unavailable {
        /// Who did not answer.
        callee: &'static str,
    },
    /// The database failed; the same request may be sent again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A bug: the saga was told what cannot be.
    #[error(transparent)]
    Illegal(#[from] saga::IllegalTransition),
}

impl PlaceError {
    /// Whether the cart's version that the shopper saw has not arrived in this region yet.
    pub(crate) fn is_version_ahead(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.reason == CART_VERSION_AHEAD)
    }
}
