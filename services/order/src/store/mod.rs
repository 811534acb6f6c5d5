//! The order service's database. Each statement stands beside the function that runs it; statements that move an order on are
//! guarded by the state they start from and, in a driver's hand, by its fencing token: a race has one winner and the loser is told.
//!
//! Commits of one order that is placed, shipped and captured: the pending row with its lines (one statement), the pivot (state
//! and outbox in one transaction), then three that are shared by whole batches: scheduling, shipping, noting the capture.

mod cancel;
mod fence;
mod homes;
mod lease;
mod operator;
mod parking;
mod payments;
mod place;
mod read;
mod refunds;
mod refusal;
mod returns;
mod row;
mod ship;

use chassis::database::DatabaseClock;
use ids::Region;
use sqlx::PgPool;
use sqlx::migrate::Migrator;

pub(crate) use payments::{mark_captured, mark_paid_back};
pub(crate) use ship::schedule;

pub use cancel::Cancelled;
pub use fence::Fence;
pub use homes::{Seen, Untold};
pub use lease::{Claimed, Duty, Lease};
pub use operator::OperatorError;
pub use place::{KnownRequest, NewOrder};
pub use refunds::DueRefund;
pub use returns::{Return, ReturnRefused};

/// The tables of this service, beside the outbox's own. Run by `order migrate`.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/order");

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database failed or is away. A write may or may not have happened: every one of them can be repeated.
    #[error("the order database failed")]
    Database(#[from] sqlx::Error),
    /// A row holds what the domain does not allow: a bug or a corrupt store.
    #[error("corrupt row of {order}: {detail}")]
    Corrupt {
        /// Which order's.
        order: uuid::Uuid,
        /// What is wrong with it; no personal data.
        detail: String,
    },
}

impl StoreError {
    /// Whether it would be the same with any other order: the database is away.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Database(error) => chassis::database::is_away(error),
            Self::Corrupt { .. } => false,
        }
    }
}

/// Reads and writes orders.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    /// The home region of the orders made here.
    region: Region,
    clock: DatabaseClock,
}

impl Store {
    /// A store over `pool` for the orders of `region`.
    pub fn new(pool: PgPool, region: Region) -> Self {
        Self { pool, region, clock: DatabaseClock::unread() }
    }

    /// The clock that orders go by.
    pub const fn clock(&self) -> &DatabaseClock {
        &self.clock
    }

    /// The home region of the orders made here.
    pub const fn region(&self) -> Region {
        self.region
    }
}
