//! The payment provider, as narrow as payments need it.
//!
//! Each call that moves money carries an `Idempotency-Key` derived from our own id, so that no caller can choose a fresh one by
//! mistake: the same order can be authorised, captured and voided once, the same refund paid once. See [`key`].

mod client;
mod error;
mod guard;
pub mod key;
mod statement;
mod wire;

use std::future::Future;

use ids::{OrderId, RefundId};
use money::Money;

pub use client::{ApiKey, ClientConfig, HttpProvider, InvalidClientConfig};
pub use error::CallError;
pub use guard::GuardConfig;
pub use statement::{Page, Span, StatedIntent, StatedRefund, Statement};

use crate::domain::{CardToken, IntentId};

/// Where the provider says an authorisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentStatus {
    /// The money is held.
    RequiresCapture,
    /// The money was taken.
    Succeeded,
    /// The hold was let go.
    Canceled,
}

/// What the provider says of an authorisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Its id.
    pub id: IntentId,
    /// Where it stands.
    pub status: IntentStatus,
    /// Held.
    pub amount: Money,
    /// Taken of it, in minor units.
    pub captured_minor: i64,
}

/// What the provider says of a refund: it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The provider's id of the refund.
    pub id: Box<str>,
    /// Paid back, in minor units.
    pub amount_minor: i64,
}

/// The provider. Every call is bounded in time by the implementation.
///
/// The first four move money and are idempotent: repeated for the same order or refund they return the first outcome. The
/// others ask. An answer of "nothing" to a question says nothing about a call that is still on its way.
pub trait Provider: Send + Sync + 'static {
    /// Holds `amount` on the card.
    fn authorise(
        &self,
        order: OrderId,
        amount: Money,
        card: &CardToken,
    ) -> impl Future<Output = Result<Intent, CallError>> + Send;
    /// Takes all that the authorisation holds.
    fn capture(&self, order: OrderId, intent: &IntentId) -> impl Future<Output = Result<Intent, CallError>> + Send;
    /// Lets the authorisation go.
    fn void(&self, order: OrderId, intent: &IntentId) -> impl Future<Output = Result<Intent, CallError>> + Send;
    /// Pays `amount_minor` of a captured authorisation back.
    fn refund(
        &self,
        refund: RefundId,
        intent: &IntentId,
        amount_minor: i64,
    ) -> impl Future<Output = Result<Receipt, CallError>> + Send;
    /// The authorisation made for an order, if the provider has one by now.
    fn intent_of(&self, order: OrderId) -> impl Future<Output = Result<Option<Intent>, CallError>> + Send;
    /// An authorisation by its id.
    fn intent(&self, intent: &IntentId) -> impl Future<Output = Result<Intent, CallError>> + Send;
    /// The refund made under our id, if the provider has one by now.
    fn refund_of(&self, refund: RefundId) -> impl Future<Output = Result<Option<Receipt>, CallError>> + Send;
    /// Whether a call now has a chance; `false` while the circuit breaker is open. For workers, which can wait.
    fn is_reachable(&self) -> bool;
}
