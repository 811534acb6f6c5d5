//! What goes on without a request: captures asked for by shipped orders, and whatever is still in flight.

mod due;
mod forget;
mod parked;
mod reconcile;
mod shipped;
mod wake;

pub use due::drive_due;
pub use forget::forget_webhooks;
pub use parked::watch_parked;
pub use reconcile::reconcile;
pub use shipped::ShippedOrders;
pub use wake::listen;
