//! What runs by itself: consuming the cuts of placed orders, and settling checkouts that nobody came back for.

mod overdue_checkouts;
mod placed_orders;

pub use overdue_checkouts::settle_overdue_checkouts;
pub use placed_orders::PlacedOrders;
