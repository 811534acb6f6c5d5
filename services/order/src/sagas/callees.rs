//! What the sagas ask of other services, as narrow as they need it. The clients behind it are in `grpc::clients`.
//!
//! Every call is idempotent under a key derived from the order (or return) and its callee stores the outcome, so a saga may
//! repeat any of them at any time.

use std::sync::Arc;
use std::time::Duration;

use ids::{CartId, OrderId, RefundId};
use tonic::async_trait;

use crate::domain::{CardToken, CutLine, Order, PlaceRequest, Refusal, Share};

/// Why a call did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A definite no, without effect. A repeat gets the same.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody knows: it may have been done, or may yet be. Ask again; never assume.
    #[error("the outcome at {callee} is unknown: {detail}")]
    Unknown {
        /// Who was called.
        callee: &'static str,
        /// What came instead of an answer; nothing personal.
        detail: String,
    },
}

/// A cut out of a cart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The order it was made for: that of the first request with the key.
    pub order: OrderId,
    /// What was cut out.
    pub lines: Vec<CutLine>,
}

/// The cart service.
#[async_trait]
pub trait Cart: Send + Sync + 'static {
    /// Cuts the version that the shopper saw out of the cart. Key: (cart, the request's key). A repeat returns the first cut
    /// and the order id it was made for, whatever `new_order` says.
    async fn begin_checkout(
        &self,
        request: &PlaceRequest,
        new_order: OrderId,
        within: Duration,
    ) -> Result<Cut, CallError>;
    /// Puts a cut back. Key: the order.
    async fn abandon_checkout(&self, cart: CartId, order: OrderId, within: Duration) -> Result<(), CallError>;
}

/// The inventory service.
#[async_trait]
pub trait Inventory: Send + Sync + 'static {
    /// Reserves every line or none. Key: the order.
    async fn reserve(&self, order: &Order, within: Duration) -> Result<(), CallError>;
    /// Gives a reservation back, or makes sure that there never will be one. Key: the order.
    async fn release(&self, order: OrderId, within: Duration) -> Result<(), CallError>;
}

/// The payment service. What is in doubt there is unknown here.
#[async_trait]
pub trait Payment: Send + Sync + 'static {
    /// Authorises the order's total. Key: the order.
    async fn authorise(&self, order: &Order, card: &CardToken, within: Duration) -> Result<(), CallError>;
    /// Lets an authorisation go, or makes sure that there never will be one. Key: the order.
    async fn void(&self, order: OrderId, within: Duration) -> Result<(), CallError>;
    /// Pays captured money back; done when the provider has confirmed it. Returns how much, in minor units: what the shares make, or as
    /// much of it as came in. Key: the refund.
    async fn refund(
        &self,
        refund: RefundId,
        order: OrderId,
        shares: &[Share],
        within: Duration,
    ) -> Result<i64, CallError>;
}

/// The services that the sagas call.
#[derive(Clone)]
pub struct Callees {
    /// Carts.
    pub cart: Arc<dyn Cart>,
    /// Stock.
    pub inventory: Arc<dyn Inventory>,
    /// Payments.
    pub payment: Arc<dyn Payment>,
}

impl std::fmt::Debug for Callees {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callees").finish_non_exhaustive()
    }
}
