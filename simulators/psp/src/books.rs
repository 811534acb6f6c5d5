//! What the ledger adds up to: every account's intents and refunds, rebuilt from the entries by the same function that
//! follows each new one.

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use crate::intent::{Intent, IntentId, Refund, RefundId};
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
    intents_by_creation: BTreeSet<(i64, Uuid)>,
    intents_by_reference: HashMap<Box<str>, Vec<IntentId>>,
    refunds: HashMap<RefundId, Refund>,
    refunds_by_creation: BTreeSet<(i64, Uuid)>,
    refunds_by_reference: HashMap<Box<str>, Vec<RefundId>>,
    entries_by_key: HashMap<Box<str>, u64>,
}

/// A part of what was made in a span of time.
#[derive(Clone, Copy, Debug)]
pub struct Window<Id> {
    /// Made then or later, in Unix seconds.
    pub from: i64,
    /// Made before then.
    pub to: i64,
    /// Only what was made before this one; it need not be inside the span.
    pub after: Option<Id>,
    /// At most so many.
    pub limit: usize,
}

/// The answer to a [`Window`].
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Newest first.
    pub data: Vec<T>,
    /// Whether there are older ones in the span.
    pub has_more: bool,
}

impl Books {
    /// Follows one entry. Entries carry the state after them, so this only files it.
    pub fn apply(&mut self, entry: Entry) {
        let books = self.accounts.entry(entry.account).or_default();
        books.entries_by_key.insert(entry.key, entry.n);
        match entry.fact {
            Fact::Authorised { intent } => {
                books.intents_by_reference.entry(intent.reference.clone()).or_default().push(intent.id);
                books.intents_by_creation.insert((intent.created, intent.id.0));
                books.intents.insert(intent.id, intent);
            }
            Fact::Declined { .. } => {}
            Fact::Captured { intent } | Fact::Canceled { intent } => {
                books.intents.insert(intent.id, intent);
            }
            Fact::Refunded { refund, intent } => {
                books.refunds_by_reference.entry(refund.reference.clone()).or_default().push(refund.id);
                books.refunds_by_creation.insert((refund.created, refund.id.0));
                books.refunds.insert(refund.id, refund);
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
        let Some(books) = self.accounts.get(account) else { return Vec::new() };
        let ids = books.refunds_by_reference.get(reference).map(Vec::as_slice).unwrap_or_default();
        ids.iter().filter_map(|id| books.refunds.get(id)).cloned().collect()
    }

    /// This account's intents made in a window.
    pub fn intents_in(&self, account: &str, window: &Window<IntentId>) -> Page<Intent> {
        let Some(books) = self.accounts.get(account) else { return Page::EMPTY };
        let place = |id| books.intents.get(&id).map(|intent| (intent.created, intent.id.0));
        page(&books.intents_by_creation, window, place, |id| books.intents.get(&IntentId(id)).cloned())
    }

    /// This account's refunds made in a window.
    pub fn refunds_in(&self, account: &str, window: &Window<RefundId>) -> Page<Refund> {
        let Some(books) = self.accounts.get(account) else { return Page::EMPTY };
        let place = |id| books.refunds.get(&id).map(|refund| (refund.created, refund.id.0));
        page(&books.refunds_by_creation, window, place, |id| books.refunds.get(&RefundId(id)).cloned())
    }
}

impl<T> Page<T> {
    const EMPTY: Self = Self { data: Vec::new(), has_more: false };
}

/// `place`: when and where an earlier page ended. After something that is not there comes nothing.
fn page<T, Id: Copy>(
    by_creation: &BTreeSet<(i64, Uuid)>,
    window: &Window<Id>,
    place: impl Fn(Id) -> Option<(i64, Uuid)>,
    find: impl Fn(Uuid) -> Option<T>,
) -> Page<T> {
    let (from, end) = ((window.from, Uuid::nil()), (window.to, Uuid::nil()));
    let to = match window.after.map(place) {
        None => end,
        Some(place) => place.unwrap_or(from).min(end),
    };
    if from >= to {
        return Page::EMPTY;
    }
    let mut made = by_creation.range(from..to).rev();
    let data = made.by_ref().take(window.limit).filter_map(|(_, id)| find(*id)).collect();
    Page { data, has_more: made.next().is_some() }
}
