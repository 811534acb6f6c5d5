//! Drives payments and refunds to the end: the only place that brings the store and the provider together.
//!
//! # Why nothing is charged twice
//!
//! Background. A call to the provider can end in three ways: it tells what happened; it certainly never left; or nobody knows
//! (time-out, lost connection, 5xx, our own death after the call). The last is no failure: the money may have moved.
//!
//! Ground rules.
//! 1. The intent is committed before the call. Whatever dies, a row in flight says that there is something to find out.
//! 2. The idempotency key of a call is derived from the order or refund ([`crate::psp::key`]); no code can make another one.
//! 3. After an unknown outcome the provider is asked first. What it has is the outcome.
//! 4. If it has nothing, the *same* call is repeated under the *same* key.
//!
//! Theory of operation. Rule 3 alone would not do: the call that timed out may still be on its way when we ask. The provider
//! truly answers "nothing", and a moment later the call lands. Had we concluded from the answer that nothing was charged, and
//! charged again under a new key, the card would be charged twice; had we concluded that there is nothing to void, the hold
//! would stay. Rule 4 makes the order of landing irrelevant: of any number of calls under one key the provider carries out
//! the first to arrive and answers the others with its outcome. So asking is a courtesy that spares work, and the repeat is
//! what turns "nothing yet" into an answer that stays true. For the same reason a void of a payment in doubt repeats the
//! authorisation before it lets go of it.
//!
//! A *turn* is one such attempt: claim the row, ask or call without any lock held, record the outcome. Turns of requests run in tasks
//! of their own: a client that hangs up does not leave in doubt what the provider is just about to answer.

mod authorise;
mod flow;
mod reading;
mod refund;
mod turn;
mod void;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

pub use authorise::AuthoriseError;
pub use flow::DriveError;
pub use refund::{RefundError, Refunded};
pub use turn::{TURN_TIMEOUT, payment as payment_turn, refund as refund_turn, turn};
pub use void::VoidError;

use crate::psp::Provider;
use crate::store::Store;

/// What is left of a request's time to write its answer.
const ANSWER_MARGIN: Duration = Duration::from_millis(150);
/// Requests that drive a row at once. Each is one connection to the provider and outlives its request by three turns at most; more
/// of them means that the provider is slower than the shoppers come, and one more would only wait in line.
const DRIVES_MAX: usize = 256;
/// A request without a deadline waits this long for the provider; the work goes on after that.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// Brings the store and the provider together. Cheap to clone.
#[derive(Debug)]
pub struct Driver<P> {
    store: Store,
    provider: Arc<P>,
    commission_basis_points: u16,
    /// The turns that requests have started; they may outlive their requests.
    tasks: TaskTracker,
    room: Arc<Semaphore>,
}

impl<P> Clone for Driver<P> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            provider: Arc::clone(&self.provider),
            commission_basis_points: self.commission_basis_points,
            tasks: self.tasks.clone(),
            room: Arc::clone(&self.room),
        }
    }
}

impl<P: Provider> Driver<P> {
    /// A driver. `commission_basis_points`: the rate that new payments are fixed at, 0 to 10,000.
    pub fn new(store: Store, provider: Arc<P>, commission_basis_points: u16) -> Self {
        let room = Arc::new(Semaphore::new(DRIVES_MAX));
        Self { store, provider, commission_basis_points, tasks: TaskTracker::new(), room }
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The provider.
    pub const fn provider(&self) -> &Arc<P> {
        &self.provider
    }

    /// Room to drive one row; `None` when there is none left. An authorisation takes it before its intent is stored.
    fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// Waits for the turns that outlived their requests, at most `grace`. What does not end in time is found again by the
    /// workers once its claim has run out.
    pub async fn finish(&self, grace: Duration) {
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(turns = self.tasks.len(), "turns did not end in time");
        }
    }
}
