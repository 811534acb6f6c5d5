//! Where the provider's books and ours differ. Pure.
//!
//! Both sides are as they were read, a little apart; whoever reads leaves out what has just changed.

use std::fmt;

use ids::{OrderId, RefundId};
use money::Money;

use crate::domain::{IntentId, State};
use crate::psp::{IntentStatus, StatedIntent, StatedRefund};

/// A payment as our books have it.
#[derive(Clone, Debug)]
pub struct OurPayment {
    /// The order.
    pub order: OrderId,
    /// Where it stands.
    pub state: State,
    /// The provider's authorisation, also of one that was let go.
    pub intent: Option<IntentId>,
    /// What the order costs; none in a tombstone.
    pub amount: Option<Money>,
    /// Of it, what the provider did not take.
    pub short_minor: i64,
    /// What the ledger says that the provider took; none when it says nothing.
    pub booked_minor: Option<i64>,
}

/// A refund as our books have it.
#[derive(Clone, Debug)]
pub struct OurRefund {
    /// Its id.
    pub refund: RefundId,
    /// The provider's charge that it pays back.
    pub intent: Option<IntentId>,
    /// The provider's id of it; none while it is pending.
    pub receipt: Option<Box<str>>,
    /// What it pays back, in minor units.
    pub amount_minor: i64,
    /// What the ledger says that the provider paid back; none when it says nothing.
    pub booked_minor: Option<i64>,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// A payment.
    Payment,
    /// A refund.
    Refund,
}

/// In which way the books differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The provider holds, took or paid back money that we know nothing of.
    MissingHere,
    /// We count on money that the provider knows nothing of.
    MissingThere,
    /// Both know of it, with other amounts.
    Amount,
    /// Both know of it, in states that do not go together.
    State,
    /// The provider has it twice.
    Double,
    /// The provider took less than it was told to. The books agree, the order is not paid in full.
    ShortCapture,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What it is about.
    pub about: About,
    /// In which way.
    pub kind: Kind,
    /// The provider's id; our reference when the provider has nothing.
    pub subject: Box<str>,
    /// What it is called in calls to the provider.
    pub reference: Box<str>,
    /// What our books say.
    pub here: String,
    /// What the provider's say.
    pub there: String,
}

impl About {
    /// The name in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Payment, Self::Refund].into_iter().find(|about| about.name() == name)
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::MissingHere, Self::MissingThere, Self::Amount, Self::State, Self::Double, Self::ShortCapture];

    /// The name in the store and in metrics. Stable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingHere => "missing_here",
            Self::MissingThere => "missing_there",
            Self::Amount => "amount",
            Self::State => "state",
            Self::Double => "double",
            Self::ShortCapture => "short_capture",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for OurPayment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.name())?;
        if let Some(amount) = self.amount {
            write!(f, ", {amount}")?;
        }
        if self.short_minor != 0 {
            write!(f, ", short of {}", self.short_minor)?;
        }
        match self.booked_minor {
            Some(booked) => write!(f, ", booked {booked}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for OurRefund {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.receipt.is_some() { "succeeded" } else { "pending" };
        write!(f, "{state}, {}", self.amount_minor)?;
        match self.booked_minor {
            Some(booked) => write!(f, ", booked {booked}"),
            None => Ok(()),
        }
    }
}

/// What of an authorisation is or was money: held, or taken and not paid back.
fn at_stake_minor(theirs: &StatedIntent) -> i64 {
    match theirs.intent.status {
        IntentStatus::RequiresCapture => theirs.intent.amount.minor_units(),
        IntentStatus::Succeeded => theirs.intent.captured_minor - theirs.refunded_minor,
        IntentStatus::Canceled => 0,
    }
}

fn told(theirs: &StatedIntent) -> String {
    let status = match theirs.intent.status {
        IntentStatus::RequiresCapture => "held",
        IntentStatus::Succeeded => "captured",
        IntentStatus::Canceled => "let go",
    };
    format!(
        "{status}, {}, captured {}, refunded {}",
        theirs.intent.amount, theirs.intent.captured_minor, theirs.refunded_minor
    )
}

/// Compares one authorisation of the provider with the payment of its reference.
pub fn of_intent(theirs: &StatedIntent, ours: Option<&OurPayment>) -> Option<Difference> {
    let kind = kind_of_intent(theirs, ours)?;
    let there = match kind {
        // Whoever has accepted it has accepted it whatever is paid back later.
        Kind::ShortCapture => format!("captured {} of {}", theirs.intent.captured_minor, theirs.intent.amount),
        _ => told(theirs),
    };
    Some(Difference {
        about: About::Payment,
        kind,
        subject: theirs.intent.id.as_str().into(),
        reference: theirs.reference.clone(),
        here: ours.map_or_else(|| "nothing".to_owned(), ToString::to_string),
        there,
    })
}

fn kind_of_intent(theirs: &StatedIntent, ours: Option<&OurPayment>) -> Option<Kind> {
    let at_stake = at_stake_minor(theirs) != 0;
    let Some(ours) = ours else { return at_stake.then_some(Kind::MissingHere) };
    match &ours.intent {
        // Nothing was ever held, as far as we know, or we do not know yet.
        None => return at_stake.then_some(Kind::State),
        Some(intent) if *intent != theirs.intent.id => return at_stake.then_some(Kind::Double),
        Some(_) => {}
    }
    if ours.amount != Some(theirs.intent.amount) {
        return Some(Kind::Amount);
    }
    let captured_minor = theirs.intent.captured_minor;
    match (&ours.state, theirs.intent.status) {
        (State::Authorised { .. } | State::Capturing { .. } | State::Voiding { .. }, IntentStatus::RequiresCapture)
        | (State::Voided | State::Uncollected, IntentStatus::Canceled) => None,
        (State::Captured { .. }, IntentStatus::Succeeded) => {
            let expected = theirs.intent.amount.minor_units() - ours.short_minor;
            if captured_minor != expected || ours.booked_minor != Some(captured_minor) {
                Some(Kind::Amount)
            } else {
                (ours.short_minor != 0).then_some(Kind::ShortCapture)
            }
        }
        _ => Some(Kind::State),
    }
}

/// Compares one refund of the provider with ours of its reference.
pub fn of_refund(theirs: &StatedRefund, ours: Option<&OurRefund>) -> Option<Difference> {
    let kind = kind_of_refund(theirs, ours)?;
    Some(Difference {
        about: About::Refund,
        kind,
        subject: theirs.receipt.id.clone(),
        reference: theirs.reference.clone(),
        here: ours.map_or_else(|| "nothing".to_owned(), ToString::to_string),
        there: format!("paid back {} of {}", theirs.receipt.amount_minor, theirs.intent.as_str()),
    })
}

fn kind_of_refund(theirs: &StatedRefund, ours: Option<&OurRefund>) -> Option<Kind> {
    let Some(ours) = ours else { return Some(Kind::MissingHere) };
    match &ours.receipt {
        None => return Some(Kind::State),
        Some(receipt) if *receipt != theirs.receipt.id => return Some(Kind::Double),
        Some(_) => {}
    }
    let amount_minor = theirs.receipt.amount_minor;
    if ours.amount_minor != amount_minor || ours.booked_minor != Some(amount_minor) {
        return Some(Kind::Amount);
    }
    (ours.intent.as_ref() != Some(&theirs.intent)).then_some(Kind::State)
}

/// All differences of one order: `theirs` is everything that the provider has under its reference.
pub fn of_order(ours: Option<&OurPayment>, theirs: &[StatedIntent]) -> Vec<Difference> {
    let mut differences: Vec<_> = theirs.iter().filter_map(|theirs| of_intent(theirs, ours)).collect();
    if let Some(ours) = ours
        && let Some(intent) = ours.state.intent()
        && theirs.iter().all(|theirs| theirs.intent.id != *intent)
    {
        differences.push(Difference {
            about: About::Payment,
            kind: Kind::MissingThere,
            subject: ours.order.to_string().into(),
            reference: ours.order.to_string().into(),
            here: format!("{ours} under {}", intent.as_str()),
            there: "nothing".to_owned(),
        });
    }
    differences
}

/// All differences of one refund: `theirs` is everything that the provider has under its reference.
pub fn of_refunds(ours: Option<&OurRefund>, theirs: &[StatedRefund]) -> Vec<Difference> {
    let mut differences: Vec<_> = theirs.iter().filter_map(|theirs| of_refund(theirs, ours)).collect();
    if let Some(ours) = ours
        && let Some(receipt) = &ours.receipt
        && theirs.iter().all(|theirs| theirs.receipt.id != *receipt)
    {
        differences.push(Difference {
            about: About::Refund,
            kind: Kind::MissingThere,
            subject: ours.refund.to_string().into(),
            reference: ours.refund.to_string().into(),
            here: format!("{ours} as {receipt}"),
            there: "nothing".to_owned(),
        });
    }
    differences
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
