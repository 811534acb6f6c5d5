//! `google.rpc.ErrorInfo.reason` of this service's refusals, beyond those that every service has.

/// The offer is not in the catalogue.
pub const OFFER_NOT_FOUND: &str = "OFFER_NOT_FOUND";
/// Neither region has the units; one violation per short line.
pub const OUT_OF_STOCK: &str = "OUT_OF_STOCK";
/// The other region, which may have the units, did not say so in time. Not a refusal: try again.
pub const PEER_UNAVAILABLE: &str = "PEER_UNAVAILABLE";
/// The order was placed; Release does not undo a sale.
pub const RESERVATION_COMMITTED: &str = "RESERVATION_COMMITTED";
/// The reservation was released before; it cannot be made again.
pub const RESERVATION_RELEASED: &str = "RESERVATION_RELEASED";
/// Other orders kept taking the units while they were fetched. Try again.
pub const STOCK_CONTENDED: &str = "STOCK_CONTENDED";
