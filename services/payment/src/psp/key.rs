//! Idempotency keys of the calls that move money: what is done, and our own id of it. Never anything that differs between two
//! tries, so that a repeat is recognised across restarts and takeovers. Never change these forms: a payment in doubt across
//! the deployment would be charged a second time.

use ids::{OrderId, RefundId};
use sabotage::{Guard, is_removed};
use uuid::Uuid;

/// What makes the provider recognise a repeat. Only this module makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The header's value; without the guard another one each time, which no provider recognises.
    pub fn header(&self) -> String {
        if is_removed(Guard::ProviderKey) { Uuid::new_v4().to_string() } else { self.0.clone() }
    }
}

/// Of the one authorisation of an order.
pub fn authorise(order: OrderId) -> IdempotencyKey {
    IdempotencyKey(format!("authorise:{order}"))
}

/// Of the one capture of an order.
pub fn capture(order: OrderId) -> IdempotencyKey {
    IdempotencyKey(format!("capture:{order}"))
}

/// Of the one void of an order.
pub fn void(order: OrderId) -> IdempotencyKey {
    IdempotencyKey(format!("void:{order}"))
}

/// Of one refund.
pub fn refund(refund: RefundId) -> IdempotencyKey {
    IdempotencyKey(format!("refund:{refund}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pinned: see the module's warning.
    #[test]
    fn the_forms_never_change() {
        let uuid = Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057);
        let (order, refund_id) = (OrderId::from_uuid(uuid), RefundId::from_uuid(uuid));
        for (key, expected) in [
            (authorise(order), "authorise:01890a5d-ac96-774b-bcce-b302099a8057"),
            (capture(order), "capture:01890a5d-ac96-774b-bcce-b302099a8057"),
            (void(order), "void:01890a5d-ac96-774b-bcce-b302099a8057"),
            (refund(refund_id), "refund:01890a5d-ac96-774b-bcce-b302099a8057"),
        ] {
            assert_eq!(key.header(), expected);
        }
    }
}
