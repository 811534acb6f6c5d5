//! Identifiers of the marketplace. Different identifiers are different types, even over the same bytes, so that the compiler
//! catches an order id passed as a cart id.

mod home;
mod name;
mod region;
mod uuids;

pub use name::{ChosenName, IdempotencyKey, InvalidName, OfferId, SellerId};
pub use region::{Region, UnknownRegion};
pub use uuids::{CartId, CustomerId, EventId, InvalidUuid, OrderId, RefundId, TransferId};
