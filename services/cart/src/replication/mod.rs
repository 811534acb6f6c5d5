//! Replication of carts with the other region: the crate `replication` decides, this module carries out.
//!
//! [`ship`] dials the other region and ships this region's log; [`receive`] serves the other region's stream. Both drive a state machine
//! of the crate: they feed it messages and what the store answered, and carry out the effects it returns. Whatever fails, the stream and
//! its machine are dropped and made anew from what is on the two disks. [`wire`] turns messages into Protobuf and back.

pub mod guard;
mod joining;
mod payload;
pub mod receive;
pub mod ship;
mod wire;

pub use payload::Payload;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::conditions;
use chassis::retry::Backoff;
use ids::Region;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::store::replica as store;

/// Tells the database's guard the number of who writes.
const SETTING: &str = "cart.replica";
/// Between two tries to learn it.
const CLAIM_AGAIN: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// The bounds of both directions. A receiver gathers at most a window for one transaction: 2,048 operations take it some 100 ms, which
/// is how long an edit of one of their carts may wait for it while a backlog is drained.
fn config() -> replication::Config {
    replication::Config { window_batches_max: 8, ..replication::Config::default() }
}

/// The condition of this region's log: while it is not whole, carts take no edits.
const LOG_PART: &str = "cart/log";
const REWOUND: &str = "the log of carts went back in time: carts take no edits and nothing is shipped until it goes on under a new number \
                       (backbone cart renumber)";

/// For what a machine asks of the store. It takes milliseconds; longer, and the connection is dead.
const STORE_DEADLINE: Duration = Duration::from_secs(10);
/// Messages waiting for the link. Above it the machine waits too: a window of batches, and some answers.
const MESSAGES_WAITING_MAX: usize = 16;

/// This region as a replica: what its parts share.
#[derive(Clone, Debug)]
pub struct Replica {
    id: crdt::ReplicaId,
    log_grew: Arc<Notify>,
    rewound: Arc<AtomicBool>,
}

impl Replica {
    /// The replica of `region`, under its first number.
    pub fn of(region: Region) -> Self {
        Self::numbered(crdt::ReplicaId(region.replica()))
    }

    /// The replica of this number, which its database has.
    pub fn numbered(id: crdt::ReplicaId) -> Self {
        Self { id, log_grew: Arc::default(), rewound: Arc::default() }
    }

    /// Claims the database behind `pool` for `region`, and takes the number that it has. Waits for the database; `None` when `token` is
    /// cancelled first.
    pub async fn claim(pool: &PgPool, region: Region, token: &CancellationToken) -> Option<Self> {
        let first = crdt::ReplicaId(region.replica());
        let mut failures = 0;
        loop {
            match store::claim(pool, first).await {
                Ok(standing) => return Some(Self::numbered(standing.replica)),
                Err(error) => {
                    failures += 1;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        failures,
                        "the database's replica number is not known yet"
                    );
                }
            }
            tokio::select! {
                () = token.cancelled() => return None,
                () = tokio::time::sleep(CLAIM_AGAIN.delay_now(failures)) => {}
            }
        }
    }

    /// A pool like `pool`, whose sessions say under which number this process decides: the database refuses what it decided under a
    /// number that is replaced.
    pub fn sessions(&self, pool: &PgPool) -> PgPool {
        let options = pool.connect_options().as_ref().clone().options([(SETTING, self.id.0.to_string())]);
        chassis::database::like(pool).connect_lazy_with(options)
    }

    /// The number that its dots and its log carry.
    pub const fn id(&self) -> crdt::ReplicaId {
        self.id
    }

    /// The number as the replication protocol knows it.
    const fn log(&self) -> replication::ReplicaId {
        replication::ReplicaId(self.id.0)
    }

    /// An operation was committed. A hint: what nobody hinted at is shipped a second later.
    pub fn log_grew(&self) {
        self.log_grew.notify_one();
    }

    /// Whether the other region has more of this log than there is: the database went back in time, and would hand out dots that the
    /// other region knows for something else. Nothing may be edited then.
    pub fn is_rewound(&self) -> bool {
        self.rewound.load(Ordering::Relaxed)
    }

    /// It is so for good: only another number, and with it another process, takes edits again.
    fn rewind(&self) {
        self.rewound.store(true, Ordering::Relaxed);
        conditions::report(LOG_PART, REWOUND);
    }
}
