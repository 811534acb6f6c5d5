//! An order belongs to one region for ever, and no other one does anything for it.

use ids::{OrderId, Region};
use tonic::Status;

use super::{failed_precondition, reasons};

/// Refuses an order whose id names another region than `here`: FAILED_PRECONDITION (ORDER_HOME_ELSEWHERE), nothing was done. An id of before
/// ids named a region passes.
///
/// # Errors
/// The refusal.
pub fn require_home(order: OrderId, here: Region) -> Result<(), Status> {
    if order.is_foreign_to(here) { Err(home_elsewhere()) } else { Ok(()) }
}

/// The refusal of [`require_home`].
pub fn home_elsewhere() -> Status {
    let message = "the order belongs to another region; nothing was done for it here";
    failed_precondition(reasons::ORDER_HOME_ELSEWHERE, message, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_order_of_another_region_is_refused() {
        for region in Region::ALL {
            assert!(require_home(OrderId::generate_in(region), region).is_ok());
            assert!(require_home(OrderId::generate(), region).is_ok(), "older ids name no region");
            let refused = require_home(OrderId::generate_in(region.peer()), region).unwrap_err();
            assert_eq!(super::super::reason(&refused).as_deref(), Some(reasons::ORDER_HOME_ELSEWHERE));
        }
    }
}
