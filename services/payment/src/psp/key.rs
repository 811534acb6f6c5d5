//! Idempotency keys of the calls that move money: what is done, and our own id of it. Never anything that differs between two
//! tries, so that a repeat is recognised across restarts and takeovers. Never change these forms: a payment in doubt across
//! the deployment would be charged a second time.

use ids::{OrderId, RefundId};

/// Of the one authorisation of an order.
pub fn authorise(order: OrderId) -> String {
    format!("authorise:{order}")
}

/// Of the one capture of an order.
pub fn capture(order: OrderId) -> String {
    format!("capture:{order}")
}

/// Of the one void of an order.
pub fn void(order: OrderId) -> String {
    format!("void:{order}")
}

/// Of one refund.
pub fn refund(refund: RefundId) -> String {
    format!("refund:{refund}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pinned: see the module's warning.
    #[test]
    fn the_forms_never_change() {
        let uuid = uuid::Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);
        let (order, refund_id) = (OrderId::from_uuid(uuid), RefundId::from_uuid(uuid));
        assert_eq!(authorise(order), "authorise:01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(capture(order), "capture:01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(void(order), "void:01890a5d-ac96-774b-bcce-b302099a8057");
        assert_eq!(refund(refund_id), "refund:01890a5d-ac96-774b-bcce-b302099a8057");
    }
}
