//! Void: let the money of an order go, whether or not it was ever held.

use ids::OrderId;

use super::Driver;
use super::flow::{DriveError, Progress};
use crate::psp::Provider;
use crate::store::{Payment, StoreError, Work};

/// Why a payment is not voided.
#[derive(Debug, thiserror::Error)]
pub enum VoidError {
    /// The order shipped: the money is taken, or about to be.
    #[error("the payment is captured or being captured")]
    Captured,
    /// Driving failed.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

impl From<StoreError> for VoidError {
    fn from(error: StoreError) -> Self {
        match error {
            // The only states that refuse a void.
            StoreError::Illegal(_) => Self::Captured,
            error => Self::Drive(error.into()),
        }
    }
}

impl<P: Provider> Driver<P> {
    /// Voids the payment of `order`. The wish is durable even if the provider is away: a payment still in flight in the answer
    /// is voided by the workers.
    ///
    /// Repeating it is harmless: the wish is a state, and the provider's key is the order's.
    ///
    /// # Errors
    /// [`VoidError`].
    pub async fn void(&self, order: OrderId) -> Result<Payment, VoidError> {
        let payment = self.store.request_void(order).await?;
        if payment.state.step().is_none() || !self.provider.is_reachable() {
            return Ok(payment);
        }
        let Some(room) = self.room() else { return Ok(payment) };
        let Some(claimed) = self.store.claim_payment(order).await? else {
            // Whoever drives it meets the wish when it records its outcome.
            return Ok(payment);
        };
        match self.drive(Work::Payment(claimed), room).await? {
            Progress::Payment(state) => Ok(Payment { state, ..payment }),
            Progress::Open | Progress::NotReached | Progress::Refunded => Ok(payment),
        }
    }
}
