//! Finishes transfers of rights that were asked for but never credited.
//!
//! A crash after the other region granted and before the credit here leaves units that neither region can sell. They are
//! written down on both sides, so asking again under the same id brings them in: at start, and then every second.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::tick::pause;
use crate::grpc::{Peer, PeerError, settle};
use crate::store::{self, PendingTransfer, StoreError};

/// How often to look. The scan reads an index of what is pending, which is usually empty.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// When another worker may take over what this one claimed, and when this one asks again: longer than a batch can take while
/// the other region answers at all, since the batch ends at the first call that it does not answer: 32 of 80 ms, and as many waits for a
/// lock ([`store::give_way`]), are 7.4 s.
const CLAIM: Duration = Duration::from_secs(10);
/// Transfers per claim. One after the other at 80 ms each is well within the claim.
const BATCH: i64 = 32;

/// Runs until `token` is cancelled.
///
/// # Errors
/// [`StoreError`], for the supervisor to start it again with backoff.
pub async fn run<P: Peer>(pool: &PgPool, peer: &P, token: &CancellationToken) -> Result<(), StoreError> {
    loop {
        finish_due(pool, peer, token).await?;
        if !pause(token, LOOK_EVERY).await {
            return Ok(());
        }
    }
}

/// What became of one try.
enum Outcome {
    Credited,
    /// This transfer cannot be settled now; others may.
    Skipped,
    /// The other region is not there; asking it more would only wait more.
    NoAnswer,
}

/// Asks and credits what is due, a batch at a time. Returns how many transfers it credited; stops early when the other region
/// does not answer.
///
/// # Errors
/// [`StoreError`] of the database as a whole.
pub async fn finish_due<P: Peer>(pool: &PgPool, peer: &P, token: &CancellationToken) -> Result<usize, StoreError> {
    let mut credited = 0;
    loop {
        let due = store::claim_abandoned(pool, CLAIM, BATCH).await?;
        if due.is_empty() {
            return Ok(credited);
        }
        for transfer in due {
            if token.is_cancelled() {
                return Ok(credited);
            }
            match finish(pool, peer, &transfer).await? {
                Outcome::Credited => credited += 1,
                Outcome::Skipped => {}
                Outcome::NoAnswer => return Ok(credited),
            }
        }
    }
}

async fn finish<P: Peer>(pool: &PgPool, peer: &P, transfer: &PendingTransfer) -> Result<Outcome, StoreError> {
    let transfer_id = transfer.transfer_id;
    match peer.transfer_rights(transfer).await {
        Ok(grant) => match settle(pool, transfer, &grant, None).await {
            Ok(_) => {
                tracing::info!(%transfer_id, "credited a transfer that was left pending");
                Ok(Outcome::Credited)
            }
            Err(error) if error.is_outage() => Err(error),
            Err(error @ StoreError::Conflict(_)) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(%transfer_id, error, "transfer stays pending: somebody holds the stock of its offers");
                Ok(Outcome::Skipped)
            }
            Err(error) => {
                metrics::counter!("inventory_transfers_stuck_total").increment(1);
                tracing::error!(%transfer_id, error = &error as &dyn std::error::Error, "transfer stays pending");
                Ok(Outcome::Skipped)
            }
        },
        Err(error @ PeerError::NoAnswer(_)) => {
            tracing::warn!(%transfer_id, error = &error as &dyn std::error::Error, "transfer stays pending");
            Ok(Outcome::NoAnswer)
        }
        Err(error @ (PeerError::Failed(_) | PeerError::ExceedsAsk(_) | PeerError::NoOffer(_))) => {
            metrics::counter!("inventory_transfers_stuck_total").increment(1);
            tracing::error!(%transfer_id, error = &error as &dyn std::error::Error, "transfer stays pending");
            Ok(Outcome::Skipped)
        }
    }
}
