//! The catalogue of what the order service does over several services, one module each.
//!
//! - [`place_order`]: cut the cart, reserve stock, authorise payment, **place** (pivot). Unwinds when a step is refused.
//! - [`cancel_order`]: **cancel** (pivot), void the payment. The stock follows the event.
//! - [`return_order`]: **store the return** (pivot), refund the payment.
//! - [`one_intention`]: undoes the later of two orders that both regions made of one request.
//!
//! The last two begin with their pivot, so they have nothing to compensate: what follows it is retried until it succeeds.
//!
//! # Errors, told apart
//! A callee's answer is **done**, **refused** (final: without effect, and a repeat gets the same) or **unknown** (retryable: ask again
//! under the same key). Before a pivot a refusal unwinds; where it has no right to be (a compensation, a step after a pivot) the saga is
//! **parked**: it keeps its state and waits for a person, as does one that has failed too many turns (`patience`). The keys stand in
//! `callees`, beside each call.

mod callees;
pub mod cancel_order;
pub mod one_intention;
mod patience;
pub mod place_order;
pub mod return_order;

pub use callees::{CallError, Callees, Cart, Cut, Inventory, Payment};
pub(crate) use patience::Next;
pub use patience::Patience;

use std::sync::Arc;

use tokio::sync::Notify;

use crate::store::Store;

/// All of them over one store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sagas {
    /// Places orders.
    pub place: place_order::PlaceOrder,
    /// Cancels them.
    pub cancel: cancel_order::CancelOrder,
    /// Takes them back.
    pub give_back: return_order::ReturnOrder,
    /// Where they keep orders.
    pub store: Store,
    /// Wakes the recovery worker for what a request leaves to do.
    pub(crate) wake: Arc<Notify>,
}

impl Sagas {
    /// The sagas over a store and the services they call.
    pub fn new(store: Store, callees: Callees, settings: place_order::Settings) -> Self {
        let wake = Arc::new(Notify::new());
        Self {
            place: place_order::PlaceOrder::new(store.clone(), callees.clone(), settings),
            cancel: cancel_order::CancelOrder::new(store.clone(), callees.clone(), wake.clone()),
            give_back: return_order::ReturnOrder::new(store.clone(), callees, settings.patience),
            store,
            wake,
        }
    }
}
