//! The payment provider: an outside party. Its rules and cards are those of its stand-in (`psp::intent`); its ledger here is a list, with
//! no unique key on our references, so that it can prove us wrong.

use std::collections::BTreeMap;

use ids::{OrderId, RefundId};
use payment::domain::IntentId;
use payment::psp::{self as port, CallError, IntentStatus, Receipt, key};
use psp::intent::{self, Intent, card_answer};
use uuid::Uuid;

use crate::coverage::Seen;
use crate::sabotage::Sabotage;
use crate::stores::payments::Subject;
use crate::world::{RegionId, World};

/// A call as it travels.
#[derive(Clone, Debug)]
pub enum Call {
    Authorise { order: OrderId, amount: money::Money, card: Box<str> },
    Capture { order: OrderId, intent: IntentId },
    Void { order: OrderId, intent: IntentId },
    Refund { refund: RefundId, intent: IntentId, amount_minor: i64 },
    IntentOf(OrderId),
    Intent(IntentId),
    RefundOf(RefundId),
}

#[derive(Clone, Debug)]
pub enum Answer {
    Intent(port::Intent),
    Refund(Receipt),
    Nothing,
}

/// A refund as the provider's ledger has it.
#[derive(Clone, Debug)]
pub struct Refunded {
    pub reference: Box<str>,
    pub intent: usize,
    pub amount_minor: i64,
}

#[derive(Default)]
pub struct Provider {
    /// In the order they were made.
    pub intents: Vec<Intent>,
    /// Of each intent: whose account it is of.
    pub accounts: Vec<RegionId>,
    pub captures: Vec<(usize, i64)>,
    pub refunds: Vec<Refunded>,
    by_key: BTreeMap<(RegionId, String), Result<Answer, CallError>>,
}

impl Call {
    /// The key that the service sends with it; questions have none.
    fn key(&self) -> Option<String> {
        match self {
            Self::Authorise { order, .. } => Some(key::authorise(*order).header()),
            Self::Capture { order, .. } => Some(key::capture(*order).header()),
            Self::Void { order, .. } => Some(key::void(*order).header()),
            Self::Refund { refund, .. } => Some(key::refund(*refund).header()),
            Self::IntentOf(_) | Self::Intent(_) | Self::RefundOf(_) => None,
        }
    }

    /// What its webhook is about.
    pub fn subject(&self) -> Option<Subject> {
        match self {
            Self::Authorise { order, .. } | Self::Capture { order, .. } | Self::Void { order, .. } => {
                Some(Subject::Payment(*order))
            }
            Self::Refund { refund, .. } => Some(Subject::Refund(*refund)),
            Self::IntentOf(_) | Self::Intent(_) | Self::RefundOf(_) => None,
        }
    }
}

impl World {
    /// The provider carries a call out, once per key. The flag says whether something happened, of which a webhook tells.
    pub fn provider_executes(&mut self, from: RegionId, call: &Call) -> (bool, Result<Answer, CallError>) {
        let Some(key) = call.key() else { return (false, self.provider.read(from, call)) };
        let key = if self.removed(Sabotage::ProviderKey) { self.number().to_string() } else { key };
        // A key holds within its account only: nothing but the regions' own rules keeps the other one from charging for the same order.
        let key = (if self.removed(Sabotage::ForeignOrder) { 0 } else { from }, key);
        if let Some(first) = self.provider.by_key.get(&key).cloned() {
            self.saw(Seen::KeyReplayed);
            return (false, first);
        }
        let number = self.number();
        let outcome = self.provider.write(from, call, number);
        if let Some(Subject::Payment(order)) = call.subject() {
            self.touch(from, order);
        }
        // A refusal is not stored under its key; a decline is an outcome.
        if matches!(outcome, Ok(_) | Err(CallError::Declined { .. })) {
            self.provider.by_key.insert(key, outcome.clone());
        }
        (outcome.is_ok(), outcome)
    }
}

impl Provider {
    fn find(&self, id: &IntentId) -> Result<usize, CallError> {
        let found = self.intents.iter().position(|intent| intent.id.to_string() == id.as_str());
        found.ok_or_else(|| refused(intent::Refusal::NoSuchIntent))
    }

    fn read(&self, from: RegionId, call: &Call) -> Result<Answer, CallError> {
        match call {
            Call::Intent(id) => Ok(Answer::Intent(shown(&self.intents[self.find(id)?]))),
            Call::IntentOf(order) => {
                let reference = order.to_string();
                // Several would be a contradiction; the client looks at the first.
                let mut own = self.intents.iter().zip(&self.accounts).filter(|(_, account)| **account == from);
                let found = own.find(|(intent, _)| *intent.reference == *reference).map(|(intent, _)| intent);
                Ok(found.map_or(Answer::Nothing, |intent| Answer::Intent(shown(intent))))
            }
            Call::RefundOf(refund) => {
                let reference = refund.to_string();
                let found = self.refunds.iter().enumerate().find(|(_, refund)| *refund.reference == *reference);
                Ok(found.map_or(Answer::Nothing, |(nth, refund)| Answer::Refund(receipt(nth, refund.amount_minor))))
            }
            Call::Authorise { .. } | Call::Capture { .. } | Call::Void { .. } | Call::Refund { .. } => {
                Ok(Answer::Nothing)
            }
        }
    }

    fn write(&mut self, from: RegionId, call: &Call, number: u64) -> Result<Answer, CallError> {
        let uuid = Uuid::from_u128(number.into());
        match call {
            Call::Authorise { order, amount, card } => {
                let code = amount.currency().code().to_owned();
                let made =
                    Intent::authorise(intent::IntentId(uuid), amount.minor_units(), &code, &order.to_string(), 0);
                let made = made.map_err(refused)?;
                if let Some(code) = card_answer(card).map_err(refused)? {
                    return Err(CallError::Declined { code: format!("{code:?}").into() });
                }
                let answer = Answer::Intent(shown(&made));
                self.intents.push(made);
                self.accounts.push(from);
                Ok(answer)
            }
            Call::Capture { intent, .. } => {
                let nth = self.find(intent)?;
                let after = self.intents[nth].capture(None).map_err(refused)?;
                self.captures.push((nth, after.amount_captured));
                self.put(nth, after)
            }
            Call::Void { intent, .. } => {
                let nth = self.find(intent)?;
                let after = self.intents[nth].cancel().map_err(refused)?;
                self.put(nth, after)
            }
            Call::Refund { refund, intent, amount_minor } => {
                let nth = self.find(intent)?;
                let reference = refund.to_string();
                let refunded = self.intents[nth].refund(intent::RefundId(uuid), *amount_minor, &reference, 0);
                let (_, after) = refunded.map_err(refused)?;
                self.put(nth, after)?;
                self.refunds.push(Refunded { reference: reference.into(), intent: nth, amount_minor: *amount_minor });
                Ok(Answer::Refund(receipt(self.refunds.len() - 1, *amount_minor)))
            }
            Call::IntentOf(_) | Call::Intent(_) | Call::RefundOf(_) => Ok(Answer::Nothing),
        }
    }

    fn put(&mut self, nth: usize, after: Intent) -> Result<Answer, CallError> {
        let answer = Answer::Intent(shown(&after));
        self.intents[nth] = after;
        Ok(answer)
    }
}

/// What the client makes of a refusal: nothing was done, and a repeat does not help.
fn refused(refusal: intent::Refusal) -> CallError {
    CallError::Refused { detail: refusal.to_string().into() }
}

fn receipt(nth: usize, amount_minor: i64) -> Receipt {
    Receipt { id: format!("re_{nth}").into(), amount_minor }
}

/// The intent as the client reads it.
fn shown(intent: &Intent) -> port::Intent {
    let status = match intent.status {
        intent::IntentStatus::RequiresCapture => IntentStatus::RequiresCapture,
        intent::IntentStatus::Succeeded => IntentStatus::Succeeded,
        intent::IntentStatus::Canceled => IntentStatus::Canceled,
    };
    port::Intent {
        id: IntentId::new(&intent.id.to_string()),
        status,
        amount: money::Money::new(intent.amount, intent.currency.parse().expect("a currency we sent")),
        captured_minor: intent.amount_captured,
    }
}
