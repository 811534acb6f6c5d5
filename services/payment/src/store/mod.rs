//! Payments, refunds and the ledger in Postgres. Every method is one commit, or less: it says so when it is not.
//!
//! Work on a row goes in turns: a *claim* (a lease with a fencing token), a call to the provider without any lock held, and
//! the *record* of its outcome, which is refused when the claim is no longer ours.

mod claim;
mod error;
mod events;
mod ledger;
mod parked;
mod payment;
mod reconcile;
mod record;
mod refund;
mod request;
mod settle;
mod webhook;

use std::time::Duration;

use ids::Region;
use sqlx::PgPool;
use sqlx::postgres::types::PgInterval;

pub use claim::{Claim, ClaimedPayment, ClaimedRefund, Work};
pub use error::StoreError;
pub use parked::Parked;
pub use payment::{Begun, Payment};
pub use reconcile::{Booked, OpenDifference};
pub use record::{Done, Recorded};
pub use refund::{RefundRequest, RefundState, Reserved};
pub(crate) use request::{Follow, request};
pub use settle::{Decision, SettleError};
pub use webhook::Subject;

/// The name that wakes the workers of every process through LISTEN, at the commit that made work due.
pub const WAKE_CHANNEL: &str = "payment_due";

/// How long a claim holds the others off: longer than a turn takes ([`crate::driver::TURN_TIMEOUT`], 5 s) with its commits, and
/// as long as a payment stays in doubt when its process is killed. If it does run out while its holder still works, the
/// holder's outcome is refused, and the provider's idempotency key keeps the second call harmless.
pub(crate) const LEASE: Duration = Duration::from_secs(8);

/// The payments of one region.
#[derive(Clone, Debug)]
pub struct Store {
    pool: PgPool,
    region: Region,
    lease: Duration,
    /// Takes the lock on refunds away, and lets none of them be stored before as many as the barrier counts were decided,
    /// or three seconds have passed.
    #[cfg(test)]
    pub(crate) unguarded_refunds: Option<std::sync::Arc<tokio::sync::Barrier>>,
}

impl Store {
    /// The store behind `pool`; events it emits belong to `region`.
    pub const fn new(pool: PgPool, region: Region) -> Self {
        Self {
            pool,
            region,
            lease: LEASE,
            #[cfg(test)]
            unguarded_refunds: None,
        }
    }

    /// The region whose payments these are.
    pub const fn region(&self) -> Region {
        self.region
    }

    /// The pool, for the workers that listen.
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// A span of time as Postgres takes it: whole microseconds.
fn interval(duration: Duration) -> Result<PgInterval, StoreError> {
    let microseconds = i64::try_from(duration.as_micros()).map_err(|_| StoreError::Corrupt { what: "duration" })?;
    Ok(PgInterval { months: 0, days: 0, microseconds })
}
