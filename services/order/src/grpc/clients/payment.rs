//! `payment.v1` as the sagas see it: what is in doubt there is unknown here.

use std::time::Duration;

use chassis::client::Dependency;
use contracts::money::v1::Money as WireMoney;
use contracts::payment::v1 as wire;
use contracts::payment::v1::payment_service_client::PaymentServiceClient;
use ids::{OrderId, RefundId};
use tonic::async_trait;

use super::{call_error, nonsense};
use crate::domain::{CardToken, Order, Refusal, RefusalKind, Share};
use crate::sagas::{CallError, Payment};

const CALLEE: &str = "payment";

/// The payment service of this region.
#[derive(Debug, Clone)]
pub struct PaymentClient(Dependency);

impl PaymentClient {
    /// A client over a connection.
    pub const fn new(dependency: Dependency) -> Self {
        Self(dependency)
    }
}

#[async_trait]
impl Payment for PaymentClient {
    async fn authorise(&self, order: &Order, card: &CardToken, within: Duration) -> Result<(), CallError> {
        let shares = order.shares().map_err(|error| nonsense(CALLEE, error))?;
        let currency_code = order.total.currency().code().to_owned();
        let request = wire::AuthoriseRequest {
            order_id: order.id.to_string(),
            amount: Some(WireMoney { minor_units: order.total.minor_units(), currency_code }),
            card_token: card.reveal().to_owned(),
            shares: shares.iter().map(share).collect(),
        };
        let response = self
            .0
            .call(within, |channel| {
                let request = request.clone();
                async move { PaymentServiceClient::new(channel).authorise(request).await }
            })
            .await
            .map_err(|status| call_error(CALLEE, &status, false))?;
        authorised(state_of(response.payment))
    }

    async fn void(&self, order: OrderId, within: Duration) -> Result<(), CallError> {
        let request = wire::VoidRequest { order_id: order.to_string() };
        let response = self
            .0
            .call(within, |channel| {
                let request = request.clone();
                async move { PaymentServiceClient::new(channel).void(request).await }
            })
            .await
            .map_err(|status| call_error(CALLEE, &status, false))?;
        voided(state_of(response.payment))
    }

    async fn refund(
        &self,
        refund: RefundId,
        order: OrderId,
        shares: &[Share],
        within: Duration,
    ) -> Result<i64, CallError> {
        let request = wire::RefundRequest {
            refund_id: refund.to_string(),
            order_id: order.to_string(),
            shares: shares.iter().map(share).collect(),
        };
        let response = self
            .0
            .call(within, |channel| {
                let request = request.clone();
                async move { PaymentServiceClient::new(channel).refund(request).await }
            })
            .await
            .map_err(|status| call_error(CALLEE, &status, false))?;
        match response.state() {
            wire::RefundState::Succeeded | wire::RefundState::Cancelled => {
                let asked_minor = shares.iter().map(|share| share.amount_minor).sum();
                let paid_minor = response.paid_minor.unwrap_or(asked_minor);
                if (0..=asked_minor).contains(&paid_minor) {
                    Ok(paid_minor)
                } else {
                    Err(nonsense(CALLEE, "a refund of more than was asked for"))
                }
            }
            wire::RefundState::Pending => Err(CallError::Unknown { callee: CALLEE, detail: "pending".to_owned() }),
            wire::RefundState::Unspecified => Err(nonsense(CALLEE, "a refund without a state")),
        }
    }
}

fn share(share: &Share) -> wire::SellerShare {
    wire::SellerShare { seller_id: share.seller.to_string(), amount_minor: share.amount_minor }
}

fn state_of(payment: Option<wire::Payment>) -> wire::PaymentState {
    payment.map_or(wire::PaymentState::Unspecified, |payment| payment.state())
}

/// Whether the money is held for us.
fn authorised(state: wire::PaymentState) -> Result<(), CallError> {
    let refused =
        |reason: &str, message: &str| Err(Refusal::new(RefusalKind::FailedPrecondition, reason, message).into());
    match state {
        wire::PaymentState::Authorised | wire::PaymentState::Captured | wire::PaymentState::Uncollected => Ok(()),
        wire::PaymentState::Declined => {
            refused("CARD_DECLINED", "the card was declined; order again with another card, under a new key")
        }
        wire::PaymentState::Voided => refused("PAYMENT_VOIDED", "the payment was let go"),
        wire::PaymentState::InDoubt => Err(in_doubt()),
        wire::PaymentState::Unspecified => Err(nonsense(CALLEE, "a payment without a state")),
    }
}

/// Whether nothing is held any more. A declined payment never held anything.
fn voided(state: wire::PaymentState) -> Result<(), CallError> {
    match state {
        wire::PaymentState::Voided | wire::PaymentState::Declined => Ok(()),
        wire::PaymentState::InDoubt | wire::PaymentState::Authorised => Err(in_doubt()),
        wire::PaymentState::Captured | wire::PaymentState::Uncollected | wire::PaymentState::Unspecified => {
            Err(nonsense(CALLEE, format_args!("{state:?} after a void")))
        }
    }
}

fn in_doubt() -> CallError {
    CallError::Unknown { callee: CALLEE, detail: "in doubt".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `None`: unknown, ask again. `Some("")`: done.
    fn outcome(result: Result<(), CallError>) -> Option<String> {
        match result {
            Ok(()) => Some(String::new()),
            Err(CallError::Refused(refusal)) => Some(refusal.reason),
            Err(CallError::Unknown { .. }) => None,
        }
    }

    #[test]
    fn only_a_final_state_is_an_outcome() {
        use wire::PaymentState::{Authorised, Captured, Declined, InDoubt, Unspecified, Voided};
        let cases = [
            (Authorised, Some(""), None),
            (Captured, Some(""), None),
            (Declined, Some("CARD_DECLINED"), Some("")),
            (Voided, Some("PAYMENT_VOIDED"), Some("")),
            (InDoubt, None, None),
            (Unspecified, None, None),
        ];
        for (state, after_authorise, after_void) in cases {
            assert_eq!(outcome(authorised(state)).as_deref(), after_authorise, "{state:?} after authorise");
            assert_eq!(outcome(voided(state)).as_deref(), after_void, "{state:?} after void");
        }
    }
}
