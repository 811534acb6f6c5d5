//! Drives what is due: captures of shipped orders, and every payment or refund that was left in flight by whatever crashed,
//! timed out or gave up waiting.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::driver::{Driver, turn};
use crate::psp::Provider;
use crate::store::{Done, StoreError};

/// Turns at once. At 20 ms a call that is 400 captures a second, more than one region's orders; it leaves the provider room
/// for the authorisations that shoppers wait for.
const TURNS_AT_ONCE: usize = 8;
/// Claims are a commit, so they are made for several rows at once, as soon as this much room is free.
const CLAIM_MIN: usize = TURNS_AT_ONCE / 2;
/// Looks for due work this often whoever forgot to wake it: claims that ran out, backoffs that ended, wake-ups lost with the
/// listening connection. An idle look reads one empty index.
const SWEEP: Duration = Duration::from_secs(1);

/// Runs until `token` is cancelled, then finishes the turns it has begun. `wake`: work has become due.
///
/// Outcomes that are ready together are recorded in one commit: at high load an order's capture costs a fraction of one, at
/// low load it waits for nobody.
///
/// # Errors
/// Never for a failure of the store or the provider: those are waited out here, with the turns that are under way.
pub async fn drive_due<P: Provider>(
    driver: Driver<P>,
    wake: Arc<Notify>,
    token: CancellationToken,
) -> Result<(), StoreError> {
    let mut turns: JoinSet<Done> = JoinSet::new();
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut more = true;
    loop {
        let free = TURNS_AT_ONCE - turns.len();
        if more && free >= CLAIM_MIN && !token.is_cancelled() && driver.provider().is_reachable() {
            more = claim(&driver, &mut turns, free).await;
        }
        tokio::select! {
            Some(first) = turns.join_next() => record(&driver, &mut turns, first).await,
            () = wake.notified() => more = true,
            _ = sweep.tick() => more = true,
            () = token.cancelled(), if !turns.is_empty() => finish(&driver, &mut turns).await,
            () = token.cancelled(), if turns.is_empty() => return Ok(()),
        }
    }
}

/// Claims up to `free` rows and starts their turns. Returns whether there may be more.
async fn claim<P: Provider>(driver: &Driver<P>, turns: &mut JoinSet<Done>, free: usize) -> bool {
    match driver.store().claim_due(free).await {
        Ok(claimed) => {
            let more = claimed.len() == free;
            for work in claimed {
                let provider = Arc::clone(driver.provider());
                turns.spawn(async move { turn(&*provider, work).await.0 });
            }
            more
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for due work; at the next sweep");
            false
        }
    }
}

/// Records the turn that ended, together with all that have ended by now.
async fn record<P: Provider>(driver: &Driver<P>, turns: &mut JoinSet<Done>, first: Result<Done, JoinError>) {
    let mut ended = vec![first];
    while let Some(next) = turns.try_join_next() {
        ended.push(next);
    }
    // A turn that panicked is logged by the panic hook; its claim runs out.
    let done: Vec<_> = ended.into_iter().filter_map(Result::ok).collect();
    if !done.is_empty() {
        driver.store().record_all(&done).await;
    }
}

async fn finish<P: Provider>(driver: &Driver<P>, turns: &mut JoinSet<Done>) {
    while let Some(ended) = turns.join_next().await {
        record(driver, turns, ended).await;
    }
}
