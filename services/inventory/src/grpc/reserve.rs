//! Reserve: from local rights if they cover the order, else with rights fetched from the other region.
//!
//! ```text
//! reserve here ──ok──▶ done (one statement, one commit; no wait for the other region)
//!    │ short
//!    ▼
//! store the question as pending ─▶ ask the other region ─▶ one transaction: credit the answer, reserve ──ok──▶ done
//!    ▲                                  │ no answer               │ still short
//!    │                                  ▼                         ▼
//!    │                      UNAVAILABLE, stays pending   other region has no more ─▶ OUT_OF_STOCK
//!    └──────────────────────────────────────────────────────── sold meanwhile
//! ```
//! A process that dies between the question and the credit leaves the question pending. It is asked again, under the same
//! id, by the next try of the order or by [`crate::workers::transfers`], whichever comes first; the credit happens once.
//! A refusal has no effect and is not stored: a later repeat is judged by the stock of its own moment.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use ids::{OfferId, TransferId};
use sqlx::{PgConnection, PgPool};

use super::peer::{CALL_TIMEOUT, Peer, PeerError};
use crate::domain::{Grant, Lines, NextStep, ReserveRefusal, ShortLine, next_step};
use crate::store::{self, PendingTransfer, Reservation, StoreError};

/// How often one call looks for a way before it says "contended". Two are the rule (ask, then reserve or refuse); the others
/// are for units that other orders take between a look and the step after it.
const ROUNDS_MAX: usize = 4;

/// When the worker takes over a question: well after the call that asked it has given up.
const ABANDONED_AFTER: Duration = CALL_TIMEOUT.saturating_mul(3);

/// Why an order was not reserved. Nothing is held for it.
#[derive(Debug, thiserror::Error)]
pub enum ReserveError {
    /// The order has a reservation already, and this is not a repeat of it.
    #[error(transparent)]
    Refused(#[from] ReserveRefusal),
    /// Neither region has the units. What the other region granted of them stays here.
    #[error("{} lines are out of stock", .0.len())]
    OutOfStock(Vec<ShortLine>),
    /// The other region may have the units but did not say so. Try again.
    #[error("the other region could not be asked")]
    Peer(#[from] PeerError),
    /// Other orders were faster, each time. Try again.
    #[error("other orders kept taking the units")]
    Contended,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reserves orders in this region.
#[derive(Debug, Clone)]
pub struct Reserving<P> {
    pool: PgPool,
    peer: P,
}

impl<P: Peer> Reserving<P> {
    /// `pool`: this region's stock; `peer`: the other region.
    pub const fn new(pool: PgPool, peer: P) -> Self {
        Self { pool, peer }
    }

    /// Holds every line of the order or none. Returns when the reservation lapses; a repeat returns what the first got.
    ///
    /// # Errors
    /// [`ReserveError`].
    pub async fn reserve(&self, wanted: &Reservation) -> Result<DateTime<Utc>, ReserveError> {
        if store::reserve(&self.pool, wanted).await? {
            count("local");
            return Ok(wanted.expires_at);
        }
        let reserved = self.reserve_with_transfers(wanted).await;
        count(match &reserved {
            Ok(_) => "after_transfer",
            Err(ReserveError::Refused(_)) => "refused",
            Err(ReserveError::OutOfStock(_)) => "out_of_stock",
            Err(ReserveError::Peer(_)) => "peer_unavailable",
            Err(ReserveError::Contended) => "contended",
            Err(ReserveError::Store(_)) => "failed",
        });
        reserved
    }

    async fn reserve_with_transfers(&self, wanted: &Reservation) -> Result<DateTime<Utc>, ReserveError> {
        let mut exhausted_there = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let mut connection = self.pool.acquire().await.map_err(StoreError::from)?;
            if let Some(stored) = store::find_reservation(&mut *connection, wanted.order_id).await? {
                return Ok(stored.repeat(&wanted.digest)?);
            }
            let question = question(&mut connection, wanted, &exhausted_there).await?;
            // Given back before the other region is asked: a slow link must not empty the pool.
            drop(connection);
            let Some(Question { transfer, is_new }) = question else { continue };
            let grant = self.peer.transfer_rights(&transfer).await?;
            if is_new {
                exhausted_there = grant.exhausted(&transfer.asked);
            }
            if settle(&self.pool, &transfer, &grant, Some(wanted)).await? {
                return Ok(wanted.expires_at);
            }
        }
        Err(ReserveError::Contended)
    }
}

/// A question to the other region.
struct Question {
    transfer: PendingTransfer,
    /// Asked for the first time, so that the answer tells what the other region has now. The answer to an older question
    /// tells what it had then.
    is_new: bool,
}

/// What to ask the other region next, stored as pending. `None` when the order may be reserved by now: look again.
async fn question(
    connection: &mut PgConnection,
    wanted: &Reservation,
    exhausted_there: &BTreeSet<OfferId>,
) -> Result<Option<Question>, ReserveError> {
    if let Some(transfer) = store::pending_for(&mut *connection, wanted.order_id).await? {
        return Ok(Some(Question { transfer, is_new: false }));
    }
    let available = store::available(&mut *connection, &wanted.lines).await?;
    match next_step(&wanted.lines, &available, exhausted_there) {
        NextStep::Refuse(lines) => Err(ReserveError::OutOfStock(lines)),
        NextStep::ReserveAgain => {
            // Made or not, the next round finds out and answers.
            store::reserve(&mut *connection, wanted).await?;
            Ok(None)
        }
        NextStep::Ask(asked) => {
            let transfer = PendingTransfer { transfer_id: TransferId::generate(), asked };
            let opened = store::open(&mut *connection, wanted.order_id, &transfer, ABANDONED_AFTER).await?;
            Ok(opened.then_some(Question { transfer, is_new: true }))
        }
    }
}

/// Credits the other region's answer and, in the same transaction, reserves the order it was for, so that no other order
/// gets between. `true` when the order is reserved. Without an order (the worker's case) only credits, and gives way to whoever holds
/// the stock.
///
/// # Errors
/// [`StoreError`]; the transfer stays pending.
pub async fn settle(
    pool: &PgPool,
    transfer: &PendingTransfer,
    grant: &Grant,
    wanted: Option<&Reservation>,
) -> Result<bool, StoreError> {
    let mut transaction = chassis::database::begin(pool).await?;
    if wanted.is_none() {
        store::give_way(&mut transaction).await?;
    }
    let and_lock: Option<&Lines> = wanted.map(|wanted| &wanted.lines);
    let credited = store::credit(&mut transaction, transfer.transfer_id, grant, and_lock).await?;
    let reserved = match wanted {
        Some(wanted) => store::reserve(&mut *transaction, wanted).await?,
        None => false,
    };
    sabotage::crash_point("inventory.credit.before-commit").await;
    transaction.commit().await?;
    sabotage::crash_point("inventory.credit.after-commit").await;
    if credited {
        metrics::counter!("inventory_transfers_credited_total").increment(1);
    }
    Ok(reserved)
}

fn count(outcome: &'static str) {
    metrics::counter!("inventory_reserves_total", "outcome" => outcome).increment(1);
}
