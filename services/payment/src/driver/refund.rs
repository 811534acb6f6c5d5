//! Refund: pay captured money back, in part or whole.

use super::Driver;
use super::flow::{DriveError, Progress};
use crate::psp::Provider;
use crate::store::{Payment, RefundRequest, RefundState, Reserved, Work};

/// Why a refund is not accepted, or not driven.
pub type RefundError = DriveError;

impl<P: Provider> Driver<P> {
    /// Refunds, or tells what became of it before. Once accepted a refund is paid, now or by the workers: also one that is
    /// accepted while the provider is away.
    ///
    /// Repeating it is harmless: one row per refund, and the provider's key is the refund's.
    ///
    /// # Errors
    /// [`DriveError`]; when it wraps [`StoreError::RefundRejected`] and its kin, nothing was accepted.
    pub async fn refund(&self, request: &RefundRequest) -> Result<(RefundState, Payment), RefundError> {
        let (work, payment) = match self.store.reserve_refund(request).await? {
            Reserved::New(claimed, payment) => (Some(claimed), payment),
            Reserved::Exists(RefundState::Succeeded, payment) => return Ok((RefundState::Succeeded, payment)),
            Reserved::Exists(RefundState::Pending, payment) => {
                (self.store.claim_refund(request.refund).await?, payment)
            }
        };
        // Without room the workers drive it once its claim has run out.
        let (Some(claimed), Some(room)) = (work, self.room()) else { return Ok((RefundState::Pending, payment)) };
        match self.drive(Work::Refund(claimed), room).await {
            Ok(Progress::Refunded) => Ok((RefundState::Succeeded, payment)),
            Ok(Progress::Open | Progress::NotReached | Progress::Payment(_)) => Ok((RefundState::Pending, payment)),
            // It is accepted all the same: the workers find it once its claim has run out.
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, refund = %request.refund, "not driven");
                Ok((RefundState::Pending, payment))
            }
        }
    }
}
