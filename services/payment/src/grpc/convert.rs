//! Messages to domain values and back. All that is wrong with a request is told at once.

use chassis::status::{Fields, invalid_request};
use contracts::money::v1::Money as MoneyMessage;
use contracts::payment::v1::{
    AuthoriseRequest, Payment as PaymentMessage, PaymentState, RefundRequest as RefundMessage,
    RefundState as RefundStateMessage, SellerShare,
};
use ids::OrderId;
use money::{Currency, Money};
use tonic::Status;

use crate::domain::{AMOUNT_MINOR_MAX, CardToken, InvalidShares, SHARES_MAX, Share, Shares, State, Terms};
use crate::store::{Payment, RefundRequest, RefundState};

/// An order id that stands alone in its request.
pub(super) fn order(text: &str) -> Result<OrderId, Status> {
    text.parse().map_err(|error: ids::InvalidUuid| invalid_request(&[("order_id", error.to_string())]))
}

pub(super) fn authorise(request: AuthoriseRequest) -> Result<(OrderId, Terms), Status> {
    let mut fields = Fields::default();
    let order = fields.check("order_id", request.order_id.parse());
    let amount = amount(&mut fields, request.amount);
    let card = fields.check("card_token", text::card_token::check(&request.card_token));
    let card = card.and_then(|()| fields.check("card_token", CardToken::new(&request.card_token)));
    let shares = shares(&mut fields, request.shares);
    let (Some(order), Some(amount), Some(card), Some(shares)) = (order, amount, card, shares) else {
        return Err(fields.refusal());
    };
    match fields.check("shares", Terms::new(amount, card, shares)) {
        Some(terms) => Ok((order, terms)),
        None => Err(fields.refusal()),
    }
}

pub(super) fn refund(request: RefundMessage) -> Result<RefundRequest, Status> {
    let mut fields = Fields::default();
    let refund = fields.check("refund_id", request.refund_id.parse());
    let order = fields.check("order_id", request.order_id.parse());
    let shares = shares(&mut fields, request.shares);
    match (refund, order, shares) {
        (Some(refund), Some(order), Some(shares)) => Ok(RefundRequest { refund, order, shares }),
        _ => Err(fields.refusal()),
    }
}

fn amount(fields: &mut Fields, amount: Option<MoneyMessage>) -> Option<Money> {
    let amount = fields.check("amount", amount.ok_or("must be set"))?;
    let currency = fields.check("amount.currency_code", amount.currency_code.parse::<Currency>());
    let in_range = (1..=AMOUNT_MINOR_MAX).contains(&amount.minor_units);
    let minor_units =
        in_range.then_some(amount.minor_units).ok_or_else(|| format!("must be 1 to {AMOUNT_MINOR_MAX} minor units"));
    let minor_units = fields.check("amount.minor_units", minor_units);
    Some(Money::new(minor_units?, currency?))
}

fn shares(fields: &mut Fields, shares: Vec<SellerShare>) -> Option<Shares> {
    // Before anything is built from them.
    if shares.len() > SHARES_MAX {
        let too_many = InvalidShares::TooMany { count: shares.len() };
        return fields.check("shares", Err(too_many));
    }
    let mut parsed = Vec::with_capacity(shares.len());
    for (index, share) in shares.into_iter().enumerate() {
        let seller = fields.check(&format!("shares[{index}].seller_id"), share.seller_id.parse())?;
        parsed.push(Share { seller, amount_minor: share.amount_minor });
    }
    let shares = Shares::new(parsed);
    let field = match &shares {
        Err(InvalidShares::AmountOutOfRange { index }) => format!("shares[{index}].amount_minor"),
        Err(InvalidShares::SellerTwice { index, .. }) => format!("shares[{index}].seller_id"),
        Err(InvalidShares::Empty | InvalidShares::TooMany { .. } | InvalidShares::TotalOutOfRange) | Ok(_) => {
            "shares".to_owned()
        }
    };
    fields.check(&field, shares)
}

pub(super) fn payment(payment: &Payment) -> PaymentMessage {
    PaymentMessage {
        order_id: payment.order.to_string(),
        state: state(&payment.state).into(),
        amount: payment.amount.map(|amount| MoneyMessage {
            minor_units: amount.minor_units(),
            currency_code: amount.currency().code().to_owned(),
        }),
        refunded_minor: payment.refunded_minor,
    }
}

/// What others need to know: a step that is under way shows as what it still is.
const fn state(state: &State) -> PaymentState {
    match state {
        State::Authorising | State::Abandoning | State::Voiding { .. } => PaymentState::InDoubt,
        State::Authorised { .. } | State::Capturing { .. } => PaymentState::Authorised,
        State::Declined { .. } => PaymentState::Declined,
        State::Captured { .. } => PaymentState::Captured,
        State::Voided => PaymentState::Voided,
        State::Uncollected => PaymentState::Uncollected,
    }
}

pub(super) const fn refund_state(state: RefundState) -> RefundStateMessage {
    match state {
        RefundState::Pending => RefundStateMessage::Pending,
        RefundState::Succeeded => RefundStateMessage::Succeeded,
        RefundState::Cancelled => RefundStateMessage::Cancelled,
    }
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
