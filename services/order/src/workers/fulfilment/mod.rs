//! A small fulfilment: it schedules what was placed and ships it when it is due.
//!
//! It learns of orders from `order.placed.v1` like any other service would, and could be one: its own consumer group, its own
//! column. Between placing and shipping lies the window in which a cancel can win.

mod schedule;
mod ship;

pub use schedule::Schedule;
pub use ship::ship;
