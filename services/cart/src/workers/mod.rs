//! What runs by itself: consuming the cuts of placed orders, settling checkouts that nobody came back for, trimming
//! the log, telling how far the other region is behind.

mod lag;
mod overdue_checkouts;
mod placed_orders;
mod trim_log;

pub use lag::watch_lag;
pub use overdue_checkouts::{Orders, Unsettled, settle_due, settle_overdue_checkouts};
pub use placed_orders::PlacedOrders;
pub use trim_log::trim_log;
