//! Driving one row for a request that waits, as far as it gets within its time.

use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tracing::Instrument as _;

use super::turn::{Doubt, turn};
use super::{ANSWER_MARGIN, Driver, WAIT_MAX};
use crate::domain::State;
use crate::psp::Provider;
use crate::store::{Done, Recorded, Store, StoreError, Work};

/// Turns that one request takes: a void of a payment in doubt needs two (settle the doubt, void), and one may fail.
const TURNS_MAX: u32 = 3;
/// Before the next turn after an unknown outcome: lets a call that is still on its way land first, which spares the repeat.
const BETWEEN_TURNS: Duration = Duration::from_millis(100);

/// How far a request got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The payment came to rest.
    Payment(State),
    /// The refund is paid.
    Refunded,
    /// It is still open; the workers go on.
    Open,
    /// It is still open, and the provider could not be reached at all.
    NotReached,
}

/// Why a request cannot be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The store failed. If that was after the call, the outcome is found again by asking.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task died.
    #[error("the turn was aborted")]
    Aborted(#[from] tokio::task::JoinError),
}

impl<P: Provider> Driver<P> {
    /// Drives `work` in a task of its own and waits for it while the request has time.
    pub(super) async fn drive(&self, work: Work, room: OwnedSemaphorePermit) -> Result<Progress, DriveError> {
        let driver = self.clone();
        let turns = async move {
            let progress = driver.take_turns(work).await;
            drop(room);
            progress
        };
        let task = self.tasks.spawn(turns.in_current_span());
        let remaining = chassis::deadline::remaining().map_or(WAIT_MAX, |left| left.saturating_sub(ANSWER_MARGIN));
        match tokio::time::timeout(remaining, task).await {
            Ok(progress) => Ok(progress??),
            Err(_) => Ok(Progress::Open),
        }
    }

    async fn take_turns(&self, mut work: Work) -> Result<Progress, StoreError> {
        for _ in 0..TURNS_MAX {
            let (done, doubt) = turn(&*self.provider, work.clone()).await;
            let recorded = self.store.record(&done).await?;
            match (recorded, doubt) {
                (Recorded::Refunded, _) => return Ok(Progress::Refunded),
                (Recorded::Payment(state), _) if state.step().is_none() => return Ok(Progress::Payment(state)),
                (Recorded::Released | Recorded::Parked, Some(Doubt::NotReached)) => return Ok(Progress::NotReached),
                // It says so at once again.
                (Recorded::Parked, _) => return Ok(Progress::Open),
                // The next step, or the same again.
                (Recorded::Payment(_), _) => {}
                (Recorded::Released, _) => tokio::time::sleep(BETWEEN_TURNS).await,
                (Recorded::ClaimLost, _) => return Ok(Progress::Open),
            }
            work = match claim_again(&self.store, &done).await? {
                Some(work) => work,
                None => return Ok(Progress::Open),
            };
        }
        Ok(Progress::Open)
    }
}

async fn claim_again(store: &Store, done: &Done) -> Result<Option<Work>, StoreError> {
    match done {
        Done::Payment { claimed, .. } | Done::Unresolved { work: Work::Payment(claimed), .. } => {
            Ok(store.claim_payment(claimed.order).await?.map(Work::Payment))
        }
        Done::Refund { claimed, .. } | Done::Unresolved { work: Work::Refund(claimed), .. } => {
            Ok(store.claim_refund(claimed.refund).await?.map(Work::Refund))
        }
    }
}
