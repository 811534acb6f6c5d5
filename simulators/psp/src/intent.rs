//! What can happen to money here: pure rules over a payment intent, no IO and no clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Most one intent may hold, in minor units: far above any order, far below overflow.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000;

macro_rules! prefixed_id {
    ($($(#[$doc:meta])* $name:ident: $prefix:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                // Without its prefix it is no id of ours: the empty text fails as a UUID.
                Uuid::try_parse(text.strip_prefix(concat!($prefix, "_")).unwrap_or("")).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

prefixed_id! {
    /// A payment intent, `pi_…`.
    IntentId: "pi",
    /// A refund, `re_…`.
    RefundId: "re",
    /// A webhook event, `evt_…`; the same for every delivery of it.
    EventId: "evt",
}

/// Where an intent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentStatus {
    /// The money is held on the card.
    RequiresCapture,
    /// The money was taken.
    Succeeded,
    /// The hold was let go.
    Canceled,
}

/// A payment intent, as stored and as answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Its id.
    pub id: IntentId,
    /// Where it stands.
    pub status: IntentStatus,
    /// Held, in minor units.
    pub amount: i64,
    /// Taken, in minor units.
    pub amount_captured: i64,
    /// Paid back, in minor units.
    pub amount_refunded: i64,
    /// ISO 4217 code as the caller sent it.
    pub currency: Box<str>,
    /// The caller's own name for it. Deliberately not unique.
    pub reference: Box<str>,
    /// When it was made, in Unix seconds.
    #[serde(default)]
    pub created: i64,
}

/// A refund, as stored and as answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Its id.
    pub id: RefundId,
    /// Always `succeeded`: this provider refunds at once.
    pub status: RefundStatus,
    /// The intent it pays back.
    pub payment_intent: IntentId,
    /// Paid back, in minor units.
    pub amount: i64,
    /// The caller's own name for it. Deliberately not unique.
    pub reference: Box<str>,
    /// When it was made, in Unix seconds.
    #[serde(default)]
    pub created: i64,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundStatus {
    /// Paid back.
    Succeeded,
}

/// Why the card of a test token refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineCode {
    /// The bank gives no reason.
    GenericDecline,
    /// Not enough on the account.
    InsufficientFunds,
    /// The card is out of date.
    ExpiredCard,
}

/// Why a request changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request makes no sense; fix it.
    #[error("{0}")]
    Invalid(&'static str),
    /// No such intent in this account.
    #[error("no such payment_intent")]
    NoSuchIntent,
    /// The intent is past the state this needs.
    #[error("payment_intent {} has status {:?}", .0.id, .0.status)]
    UnexpectedState(Box<Intent>),
    /// More than is left of the amount held or captured.
    #[error("amount is more than is left of payment_intent {}", .0.id)]
    AmountTooLarge(Box<Intent>),
}

/// What a card of this token says: `Ok(None)` for a good card.
///
/// # Errors
/// [`Refusal::Invalid`] for a token that this provider never issued.
pub fn card_answer(token: &str) -> Result<Option<DeclineCode>, Refusal> {
    match token {
        "tok_visa" => Ok(None),
        "tok_chargeDeclined" => Ok(Some(DeclineCode::GenericDecline)),
        "tok_chargeDeclinedInsufficientFunds" => Ok(Some(DeclineCode::InsufficientFunds)),
        "tok_expired" => Ok(Some(DeclineCode::ExpiredCard)),
        _ => Err(Refusal::Invalid("no such payment_method")),
    }
}

fn positive(amount: i64) -> Result<i64, Refusal> {
    if (1..=AMOUNT_MINOR_MAX).contains(&amount) { Ok(amount) } else { Err(Refusal::Invalid("amount is out of range")) }
}

fn reference_of(text: &str) -> Result<Box<str>, Refusal> {
    if text.is_empty() || text.len() > 128 {
        return Err(Refusal::Invalid("reference must be 1 to 128 bytes"));
    }
    Ok(text.into())
}

impl Intent {
    /// Holds `amount` minor units for `reference`. `created`: now, in Unix seconds.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub fn authorise(
        id: IntentId,
        amount: i64,
        currency: &str,
        reference: &str,
        created: i64,
    ) -> Result<Self, Refusal> {
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(Refusal::Invalid("currency must be three letters"));
        }
        Ok(Self {
            id,
            status: IntentStatus::RequiresCapture,
            amount: positive(amount)?,
            amount_captured: 0,
            amount_refunded: 0,
            currency: currency.into(),
            reference: reference_of(reference)?,
            created,
        })
    }

    /// Takes `amount` of what is held, or all of it; the rest of the hold lapses.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is taken.
    pub fn capture(&self, amount: Option<i64>) -> Result<Self, Refusal> {
        if self.status != IntentStatus::RequiresCapture {
            return Err(Refusal::UnexpectedState(Box::new(self.clone())));
        }
        let amount_captured = positive(amount.unwrap_or(self.amount))?;
        if amount_captured > self.amount {
            return Err(Refusal::AmountTooLarge(Box::new(self.clone())));
        }
        Ok(Self { status: IntentStatus::Succeeded, amount_captured, ..self.clone() })
    }

    /// Lets the hold go.
    ///
    /// # Errors
    /// [`Refusal::UnexpectedState`] once captured or cancelled.
    pub fn cancel(&self) -> Result<Self, Refusal> {
        if self.status != IntentStatus::RequiresCapture {
            return Err(Refusal::UnexpectedState(Box::new(self.clone())));
        }
        Ok(Self { status: IntentStatus::Canceled, ..self.clone() })
    }

    /// Pays `amount` of what was captured back. Returns the refund and the intent after it. `created`: now, in Unix seconds.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is paid.
    pub fn refund(&self, id: RefundId, amount: i64, reference: &str, created: i64) -> Result<(Refund, Self), Refusal> {
        if self.status != IntentStatus::Succeeded {
            return Err(Refusal::UnexpectedState(Box::new(self.clone())));
        }
        let amount = positive(amount)?;
        if amount > self.amount_captured - self.amount_refunded {
            return Err(Refusal::AmountTooLarge(Box::new(self.clone())));
        }
        let reference = reference_of(reference)?;
        let status = RefundStatus::Succeeded;
        let refund = Refund { id, status, payment_intent: self.id, amount, reference, created };
        Ok((refund, Self { amount_refunded: self.amount_refunded + amount, ..self.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(amount: i64) -> Intent {
        Intent::authorise(IntentId(Uuid::from_u128(1)), amount, "GBP", "order-1", 0).unwrap()
    }

    #[test]
    fn money_is_taken_once_and_only_out_of_the_hold() {
        let taken = held(500).capture(None).unwrap();
        assert_eq!((taken.status, taken.amount_captured), (IntentStatus::Succeeded, 500));
        assert!(matches!(taken.capture(None), Err(Refusal::UnexpectedState(_))));
        assert!(matches!(taken.cancel(), Err(Refusal::UnexpectedState(_))));
        assert!(matches!(held(500).capture(Some(501)), Err(Refusal::AmountTooLarge(_))));
        assert!(matches!(held(500).cancel().unwrap().capture(None), Err(Refusal::UnexpectedState(_))));
    }

    #[test]
    fn refunds_never_pass_what_was_captured() {
        let refund_id = RefundId(Uuid::from_u128(2));
        assert!(matches!(held(500).refund(refund_id, 1, "r", 0), Err(Refusal::UnexpectedState(_))));
        let (refund, after) = held(500).capture(Some(300)).unwrap().refund(refund_id, 299, "r", 0).unwrap();
        assert_eq!((refund.amount, after.amount_refunded), (299, 299));
        assert!(matches!(after.refund(refund_id, 2, "r", 0), Err(Refusal::AmountTooLarge(_))));
        assert!(after.refund(refund_id, 1, "r", 0).is_ok());
    }

    #[test]
    fn senseless_requests_are_refused() {
        let id = IntentId(Uuid::from_u128(1));
        for (amount, currency, reference) in [
            (0, "GBP", "r"),
            (-1, "GBP", "r"),
            (i64::MAX, "GBP", "r"),
            (1, "POUND", "r"),
            (1, "G1P", "r"),
            (1, "GBP", ""),
        ] {
            let refused = Intent::authorise(id, amount, currency, reference, 0);
            assert!(refused.is_err(), "{amount} {currency} {reference:?}");
        }
        assert!(card_answer("4242424242424242").is_err());
        assert!("pi_".parse::<IntentId>().is_err());
        assert!("00000000000000000000000000000001".parse::<IntentId>().is_err());
        assert_eq!(id.to_string().parse::<IntentId>().unwrap(), id);
    }
}
