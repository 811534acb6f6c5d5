//! Refund: pay captured money back, in part or whole.

use super::Driver;
use super::flow::{DriveError, Progress};
use crate::psp::Provider;
use crate::store::{Payment, RefundRequest, RefundState, Reserved, Work};

/// Why a refund is not accepted, or not driven.
pub type RefundError = DriveError;

/// A refund as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refunded {
    /// Where it stands.
    pub state: RefundState,
    /// What it pays back, in minor units: what was asked for, or as much of it as came in.
    pub paid_minor: i64,
    /// The payment after it.
    pub payment: Payment,
}

impl<P: Provider> Driver<P> {
    /// Refunds, or tells what became of it before. Once accepted a refund is paid, now or by the workers: also one that is
    /// accepted while the provider is away.
    ///
    /// Repeating it is harmless: one row per refund, and the provider's key is the refund's.
    ///
    /// # Errors
    /// [`DriveError`]; when it wraps [`StoreError::RefundRejected`] and its kin, nothing was accepted.
    pub async fn refund(&self, request: &RefundRequest) -> Result<Refunded, RefundError> {
        let (work, paid_minor, payment) = match self.store.reserve_refund(request).await? {
            Reserved::New(claimed, payment) => {
                let paid_minor = claimed.amount.minor_units();
                (Some(claimed), paid_minor, payment)
            }
            Reserved::Exists(RefundState::Pending, paid_minor, payment) => {
                (self.store.claim_refund(request.refund).await?, paid_minor, payment)
            }
            Reserved::Exists(state, paid_minor, payment) => return Ok(Refunded { state, paid_minor, payment }),
        };
        let pending = Refunded { state: RefundState::Pending, paid_minor, payment };
        // Without room the workers drive it once its claim has run out.
        let (Some(claimed), Some(room)) = (work, self.room()) else { return Ok(pending) };
        match self.drive(Work::Refund(claimed), room).await {
            Ok(Progress::Refunded) => Ok(Refunded { state: RefundState::Succeeded, ..pending }),
            Ok(Progress::Open | Progress::NotReached | Progress::Payment(_)) => Ok(pending),
            // It is accepted all the same: the workers find it once its claim has run out.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, refund = %request.refund, "not driven");
                Ok(pending)
            }
        }
    }
}
