//! Authorise: hold the money of an order. Two commits when all goes well: the intent before the call, the outcome after it.

use ids::OrderId;
use tokio::sync::OwnedSemaphorePermit;

use super::Driver;
use super::flow::{DriveError, Progress};
use crate::domain::{State, Terms};
use crate::psp::Provider;
use crate::store::{Begun, Payment, StoreError, Work};

/// Why there is no authorisation.
#[derive(Debug, thiserror::Error)]
pub enum AuthoriseError {
    /// The card was declined. Final.
    #[error("the card was declined ({code})")]
    Declined {
        /// The provider's word for why.
        code: Box<str>,
    },
    /// The order was given up. Final.
    #[error("the payment was voided")]
    Voided,
    /// The order was authorised on other terms before.
    #[error("the order was authorised with another amount, card or shares")]
    OtherTerms,
    /// The provider is away. If it was never reached for this order, nothing is held; call again to find out.
    #[error("the payment provider cannot be reached")]
    ProviderAway,
    /// More requests wait for the provider than may at once. This one was not begun.
    #[error("too many requests are waiting for the payment provider")]
    Overloaded,
    /// Driving failed.
    #[error(transparent)]
    Drive(#[from] DriveError),
}

impl From<StoreError> for AuthoriseError {
    fn from(error: StoreError) -> Self {
        Self::Drive(error.into())
    }
}

impl<P: Provider> Driver<P> {
    /// Authorises `terms` for `order`, or tells what became of it before. A payment that is still [`State::Authorising`] in the
    /// answer is in doubt: call again.
    ///
    /// Repeating it is harmless: one row per order, and the provider's key is the order's.
    ///
    /// # Errors
    /// [`AuthoriseError`].
    pub async fn authorise(&self, order: OrderId, terms: &Terms) -> Result<Payment, AuthoriseError> {
        let room = self.room().ok_or(AuthoriseError::Overloaded)?;
        let begun = if self.provider.is_reachable() {
            self.store.begin(order, terms, self.commission_basis_points).await?
        } else {
            // No intent for a call that will not be made.
            Begun::Exists(self.store.payment(order).await?.ok_or(AuthoriseError::ProviderAway)?)
        };
        let payment = match begun {
            Begun::Started(claimed) => {
                let payment = Payment {
                    order,
                    state: State::Authorising,
                    amount: Some(terms.amount()),
                    terms: Some(terms.digest()),
                    refunded_minor: 0,
                };
                self.drive_authorisation(payment, Work::Payment(claimed), room).await?
            }
            Begun::Exists(payment) => self.resume(payment, terms, room).await?,
        };
        match payment.state {
            State::Declined { code } => Err(AuthoriseError::Declined { code }),
            State::Abandoning | State::Voiding { .. } | State::Voided => Err(AuthoriseError::Voided),
            State::Authorising
            | State::Authorised { .. }
            | State::Capturing { .. }
            | State::Captured { .. }
            | State::Uncollected => Ok(payment),
        }
    }

    async fn resume(
        &self,
        payment: Payment,
        terms: &Terms,
        room: OwnedSemaphorePermit,
    ) -> Result<Payment, AuthoriseError> {
        if payment.terms.as_ref().is_some_and(|digest| *digest != terms.digest()) {
            return Err(AuthoriseError::OtherTerms);
        }
        if payment.state != State::Authorising {
            return Ok(payment);
        }
        if !self.provider.is_reachable() {
            return Err(AuthoriseError::ProviderAway);
        }
        match self.store.claim_payment(payment.order).await? {
            Some(claimed) => self.drive_authorisation(payment, Work::Payment(claimed), room).await,
            // Somebody else drives it, or has just brought it to rest.
            None => Ok(self.store.payment(payment.order).await?.unwrap_or(payment)),
        }
    }

    async fn drive_authorisation(
        &self,
        payment: Payment,
        work: Work,
        room: OwnedSemaphorePermit,
    ) -> Result<Payment, AuthoriseError> {
        match self.drive(work, room).await? {
            Progress::Payment(state) => Ok(Payment { state, ..payment }),
            Progress::NotReached => Err(AuthoriseError::ProviderAway),
            Progress::Open | Progress::Refunded => Ok(payment),
        }
    }
}
