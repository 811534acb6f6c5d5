//! What the ledger adds up to: every account's intents and refunds, rebuilt from the entries by the same function that
//! follows each new one.

use std::collections::HashMap;

use crate::intent::{Intent, IntentId, Refund};
use crate::ledger::{Entry, Fact};

/// The state behind the API. Grows with the ledger, whose number of lines is bounded.
#[derive(Debug, Default)]
pub struct Books {
    accounts: HashMap<Box<str>, AccountBooks>,
}

/// One account's part: no account sees another's.
#[derive(Debug, Default)]
struct AccountBooks {
    intents: HashMap<IntentId, Intent>,
    intents_by_reference: HashMap<Box<str>, Vec<IntentId>>,
    refunds_by_reference: HashMap<Box<str>, Vec<Refund>>,
    entries_by_key: HashMap<Box<str>, u64>,
}

impl Books {
    /// Follows one entry. Entries carry the state after them, so this only files it.
    pub fn apply(&mut self, entry: Entry) {
        let books = self.accounts.entry(entry.account).or_default();
        books.entries_by_key.insert(entry.key, entry.n);
        match entry.fact {
            Fact::Authorised { intent } => {
                books.intents_by_reference.entry(intent.reference.clone()).or_default().push(intent.id);
                books.intents.insert(intent.id, intent);
            }
            Fact::Declined { .. } => {}
            Fact::Captured { intent } | Fact::Canceled { intent } => {
                books.intents.insert(intent.id, intent);
            }
            Fact::Refunded { refund, intent } => {
                books.refunds_by_reference.entry(refund.reference.clone()).or_default().push(refund);
                books.intents.insert(intent.id, intent);
            }
        }
    }

    /// The entry a key of this account was used for.
    pub fn entry_of_key(&self, account: &str, key: &str) -> Option<u64> {
        self.accounts.get(account)?.entries_by_key.get(key).copied()
    }

    /// An intent of this account.
    pub fn intent(&self, account: &str, id: IntentId) -> Option<&Intent> {
        self.accounts.get(account)?.intents.get(&id)
    }

    /// This account's intents under a reference: more than one when the caller charged twice.
    pub fn intents_of(&self, account: &str, reference: &str) -> Vec<Intent> {
        let Some(books) = self.accounts.get(account) else { return Vec::new() };
        let ids = books.intents_by_reference.get(reference).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| books.intents.get(id)).cloned().collect()
    }

    /// This account's refunds under a reference.
    pub fn refunds_of(&self, account: &str, reference: &str) -> Vec<Refund> {
        let refunds = self.accounts.get(account).and_then(|books| books.refunds_by_reference.get(reference));
        refunds.cloned().unwrap_or_default()
    }
}
