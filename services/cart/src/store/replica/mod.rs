//! Replication's side of the store: the log to ship, and joining what the other region shipped.

mod horizon;
mod join;
#[cfg(feature = "sabotage")]
pub mod last_writer_wins;
mod lines;
mod log;
mod number;
mod whole;

pub use horizon::{Holder, Horizon, horizon};
pub use join::{Joined, join_operations, remember};
pub use lines::{are_free, is_held};
pub use log::{Lag, Log, acknowledged, grown_to, lag, read_log, received, trim};
pub use number::{Standing, claim, confirm, holds, peer_number, rewound, stands};
pub use whole::{digests, join_replicas, replicas};

use std::collections::BTreeMap;

use crdt::ReplicaId;
use crdt::codec::{DecodeError, decode_context, decode_delta};
use ids::{CustomerId, IdempotencyKey, OfferId, OrderId};
use sqlx::types::Json;

use super::StoreError;
use crate::domain::{Address, Item, OrderedTwice, Snapshot};

/// Whose a cart is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    /// The session's subject.
    pub owner_id: CustomerId,
    /// The key of the request that created it.
    pub idempotency_key: IdempotencyKey,
}

/// One change of a cart, as it is shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What a repeat of the request is recognised by.
    pub key: String,
    /// SHA-256 of the request; empty where no client asked.
    pub request_digest: Vec<u8>,
    /// The encoded reply; empty where no client asked.
    pub outcome: Vec<u8>,
    /// Encoded; empty when the state does not change.
    pub delta: Vec<u8>,
    /// The operation is the cart's creation.
    pub creation: Option<Creation>,
    /// The operation is about this checkout.
    pub checkout: Option<CheckoutReplica>,
}

/// A checkout, as it is shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutReplica {
    /// Its order.
    pub order_id: OrderId,
    /// Encoded. Of a settled one only a whole cart has it, if it was ordered: to tell what it took.
    pub cut: Vec<u8>,
    /// What became of it.
    pub state: CheckoutState,
    /// The replica that began it and will settle it.
    pub origin: ReplicaId,
    /// The counter of its own dot.
    pub operation: u64,
    /// The causal context its shopper had seen; encoded.
    pub seen: Vec<u8>,
    /// What it ordered: units by offer.
    pub lines: BTreeMap<OfferId, u64>,
}

impl CheckoutReplica {
    /// Whether what it brings can be read again: one that cannot would be the end of its cart here.
    fn check(&self) -> Result<(), DecodeError> {
        if !self.cut.is_empty() {
            decode_delta::<Item, Snapshot, Address>(&self.cut)?;
        }
        if !self.seen.is_empty() {
            decode_context(&self.seen)?;
        }
        if self.state == CheckoutState::Undecided && self.cut.is_empty() {
            return Err(DecodeError::Truncated);
        }
        Ok(())
    }
}

/// What became of a checkout, in the order in which one stands over the other: an order that was placed stays placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckoutState {
    /// Its cut hides its lines.
    Undecided,
    /// Its cut is dropped.
    Abandoned,
    /// Its cut is joined.
    Ordered,
}

/// A whole cart, as it is shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CartReplica {
    /// Whose it is.
    pub creation: Creation,
    /// Encoded.
    pub state: Vec<u8>,
    /// All of them.
    pub checkouts: Vec<CheckoutReplica>,
    /// What two orders took.
    pub ordered_twice: Vec<OrderedTwice>,
}

impl CheckoutState {
    const fn name(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Abandoned => "abandoned",
            Self::Ordered => "ordered",
        }
    }

    /// What an operation of this key makes of its checkout; `None` when it is about none. The operation says it and not the checkout, which
    /// may have moved on: the other region is told of a cut and of its end in this order.
    fn of_operation(key: &str) -> Option<Self> {
        match key.split_once(':')?.0 {
            "checkout" => Some(Self::Undecided),
            "abandoned" => Some(Self::Abandoned),
            "ordered" => Some(Self::Ordered),
            _ => None,
        }
    }

    fn of(name: &str) -> Result<Self, StoreError> {
        [Self::Undecided, Self::Abandoned, Self::Ordered]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| StoreError::CorruptState(name.to_owned()))
    }
}

/// The column `ordered`: units by offer.
pub(super) type Ordered = Json<BTreeMap<String, u64>>;

pub(super) fn ordered_lines(ordered: Ordered) -> Result<BTreeMap<OfferId, u64>, StoreError> {
    ordered.0.into_iter().map(|(offer_id, units)| Ok((offer_id.parse()?, units))).collect()
}

/// The store's numbers are signed, the log's are not; both stay far below the difference.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
