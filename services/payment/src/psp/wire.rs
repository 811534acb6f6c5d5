//! The provider's JSON. Read leniently (unknown fields pass), trusted only after [`TryFrom`].

use money::{Currency, Money};
use serde::{Deserialize, Serialize};

use super::{Intent, IntentStatus, Receipt, StatedIntent, StatedRefund};
use crate::domain::IntentId;

/// Body of `POST /v1/payment_intents`.
#[derive(Serialize)]
pub(super) struct AuthoriseBody<'a> {
    pub amount: i64,
    pub currency: &'a str,
    pub payment_method: &'a str,
    pub reference: &'a str,
}

/// Body of `POST /v1/refunds`.
#[derive(Serialize)]
pub(super) struct RefundBody<'a> {
    pub payment_intent: &'a str,
    pub amount: i64,
    pub reference: &'a str,
}

/// Body of a call without parameters.
#[derive(Serialize)]
pub(super) struct Empty {}

/// An error's body.
#[derive(Default, Deserialize)]
pub(super) struct ErrorBody {
    #[serde(default)]
    pub error: ErrorDetail,
}

#[derive(Default, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(default)]
    pub code: String,
    pub decline_code: Option<String>,
}

/// A list.
#[derive(Deserialize)]
pub(super) struct List<T> {
    pub data: Vec<T>,
    #[serde(default)]
    pub has_more: bool,
}

/// A payment intent.
#[derive(Deserialize)]
pub(super) struct IntentBody {
    id: String,
    status: String,
    amount: i64,
    #[serde(default)]
    amount_captured: i64,
    #[serde(default)]
    amount_refunded: i64,
    currency: String,
    #[serde(default)]
    reference: Box<str>,
}

/// A refund.
#[derive(Deserialize)]
pub(super) struct ReceiptBody {
    id: String,
    status: String,
    amount: i64,
    #[serde(default)]
    payment_intent: String,
    #[serde(default)]
    reference: Box<str>,
}

/// An answer that reads as JSON but says something we do not know. It may well have done the work.
#[derive(Debug, thiserror::Error)]
#[error("an answer with {0} that is not known here")]
pub(super) struct Unreadable(&'static str);

impl TryFrom<IntentBody> for Intent {
    type Error = Unreadable;

    fn try_from(body: IntentBody) -> Result<Self, Unreadable> {
        let currency: Currency = body.currency.to_ascii_uppercase().parse().map_err(|_| Unreadable("a currency"))?;
        let status = match body.status.as_str() {
            "requires_capture" => IntentStatus::RequiresCapture,
            "succeeded" => IntentStatus::Succeeded,
            "canceled" => IntentStatus::Canceled,
            _ => return Err(Unreadable("an intent status")),
        };
        let amount = Money::new(body.amount, currency);
        Ok(Self { id: IntentId::new(&body.id), status, amount, captured_minor: body.amount_captured })
    }
}

impl TryFrom<ReceiptBody> for Receipt {
    type Error = Unreadable;

    fn try_from(body: ReceiptBody) -> Result<Self, Unreadable> {
        if body.status == "succeeded" {
            Ok(Self { id: body.id.into(), amount_minor: body.amount })
        } else {
            Err(Unreadable("a refund status"))
        }
    }
}

impl TryFrom<IntentBody> for StatedIntent {
    type Error = Unreadable;

    fn try_from(mut body: IntentBody) -> Result<Self, Unreadable> {
        let (reference, refunded_minor) = (std::mem::take(&mut body.reference), body.amount_refunded);
        Ok(Self { reference, refunded_minor, intent: body.try_into()? })
    }
}

impl TryFrom<ReceiptBody> for StatedRefund {
    type Error = Unreadable;

    fn try_from(mut body: ReceiptBody) -> Result<Self, Unreadable> {
        let (reference, intent) = (std::mem::take(&mut body.reference), IntentId::new(&body.payment_intent));
        Ok(Self { reference, intent, receipt: body.try_into()? })
    }
}
