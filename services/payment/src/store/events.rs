//! What the others are told.

use contracts::money::v1::Money as MoneyMessage;
use contracts::payment::v1::{PaymentCaptured, PaymentRefunded};
use money::Money;
use outbox::NewEvent;

use super::claim::{ClaimedPayment, ClaimedRefund};

/// The aggregate of every event here: its id is the order's, so that an order's events keep their order.
const AGGREGATE: &str = "payment";

fn message(amount: Money) -> Option<MoneyMessage> {
    Some(MoneyMessage { minor_units: amount.minor_units(), currency_code: amount.currency().code().to_owned() })
}

/// The money of an order came in: this much of it.
pub(super) fn captured(payment: &ClaimedPayment, amount: Money) -> NewEvent {
    let order_id = payment.order.to_string();
    let event = PaymentCaptured { order_id: order_id.clone(), amount: message(amount) };
    NewEvent::new("payment.captured.v1", AGGREGATE, order_id, &event)
}

/// Money was paid back.
pub(super) fn refunded(refund: &ClaimedRefund) -> NewEvent {
    let order_id = refund.order.to_string();
    let event = PaymentRefunded {
        order_id: order_id.clone(),
        refund_id: refund.refund.to_string(),
        amount: message(refund.amount),
    };
    NewEvent::new("payment.refunded.v1", AGGREGATE, order_id, &event)
}
