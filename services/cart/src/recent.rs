//! What this process last saw of the carts it edits, so that the next edit of one is a single statement.
//!
//! A hint, never a truth: an edit that is decided on it is written under the same optimistic lock as one decided on a fresh read
//! (the cart's revision and the line's bytes must still be those), and whatever is *refused* on it is decided anew on a fresh
//! read. So a stale memory costs a round trip and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crdt::CausalContext;
use ids::{CartId, CustomerId};
use moka::future::Cache;
use money::Currency;

use crate::domain::{EditedLine, Item, LineEntries, LineState, currencies_of_line, prices_of_line};
use crate::store::LoadedLine;

/// Lines remembered in all. A line with its snapshot is some 200 bytes, so 10 MB.
const LINES_MAX: u64 = 50_000;
/// A shopper who has been away for longer waits for one read more.
const IDLE_MAX: Duration = Duration::from_secs(300);

/// Carts by id, the least used ones leave first.
#[derive(Clone)]
pub struct RecentCarts(Cache<CartId, Arc<Mutex<Seen>>>);

/// A cart as of one revision.
struct Seen {
    owner_id: CustomerId,
    revision: i64,
    context: CausalContext,
    line_count: usize,
    /// Of the whole cart, or more than that: what is refused for them is decided on a fresh read.
    currencies: BTreeSet<Currency>,
    /// Of the whole cart, line by line.
    prices: usize,
    lines: HashMap<Item, LineEntries>,
    /// A line that is not in `lines` is not in the cart.
    complete: bool,
}

impl Default for RecentCarts {
    fn default() -> Self {
        let weight = |_: &CartId, seen: &Arc<Mutex<Seen>>| {
            let lines = seen.lock().unwrap_or_else(PoisonError::into_inner).lines.len();
            u32::try_from(lines + 1).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(LINES_MAX).weigher(weight).time_to_idle(IDLE_MAX).build())
    }
}

impl RecentCarts {
    /// The line of `item` in the cart, if it is remembered.
    pub async fn line(&self, cart_id: CartId, item: &Item) -> Option<LoadedLine> {
        let seen = self.0.get(&cart_id).await?;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let line = match seen.lines.get(item) {
            Some(line) => line.clone(),
            None if seen.complete => LineEntries::default(),
            None => return None,
        };
        Some(LoadedLine {
            owner_id: seen.owner_id,
            revision: seen.revision,
            state: LineState {
                context: seen.context.clone(),
                other_prices: seen.prices.saturating_sub(prices_of_line(&line)),
                line,
                undecided_cuts: Vec::new(),
                line_count: seen.line_count,
                other_currencies: seen.currencies.clone(),
            },
            stored: None,
        })
    }

    /// A cart was created, empty.
    pub async fn created(&self, cart_id: CartId, owner_id: CustomerId) {
        let seen = Seen {
            owner_id,
            revision: 0,
            context: CausalContext::new(),
            line_count: 0,
            currencies: BTreeSet::new(),
            prices: 0,
            lines: HashMap::new(),
            complete: true,
        };
        self.0.insert(cart_id, Arc::new(Mutex::new(seen))).await;
    }

    /// An edit of the line of `item` was committed; it was decided on `loaded`.
    pub async fn edited(&self, cart_id: CartId, item: &Item, loaded: &LoadedLine, edited: &EditedLine) {
        if !loaded.state.undecided_cuts.is_empty() {
            // Rare, and what a shopper sees then depends on more than is kept here.
            return self.forget(cart_id).await;
        }
        let remembered = self.0.get(&cart_id).await;
        let seen = match remembered {
            Some(seen) if seen.lock().unwrap_or_else(PoisonError::into_inner).revision == loaded.revision => seen,
            _ => Arc::new(Mutex::new(Seen {
                owner_id: loaded.owner_id,
                revision: loaded.revision,
                context: CausalContext::new(),
                line_count: 0,
                currencies: BTreeSet::new(),
                prices: 0,
                lines: HashMap::new(),
                complete: false,
            })),
        };
        seen.lock().unwrap_or_else(PoisonError::into_inner).apply(item, loaded, edited);
        // Inserted anew although it may be the same: that is when it is weighed.
        self.0.insert(cart_id, seen).await;
    }

    /// What is remembered of the cart is out of date.
    pub async fn forget(&self, cart_id: CartId) {
        self.0.invalidate(&cart_id).await;
    }
}

impl Seen {
    fn apply(&mut self, item: &Item, decided_on: &LoadedLine, edited: &EditedLine) {
        // Another edit of this process came in between: it knows better.
        if self.revision != decided_on.revision {
            return;
        }
        self.revision += 1;
        self.context = edited.context.clone();
        self.line_count = edited.line_count;
        self.currencies = currencies_of_line(&edited.line);
        self.currencies.extend(&decided_on.state.other_currencies);
        self.prices = decided_on.state.other_prices + prices_of_line(&edited.line);
        self.lines.insert(item.clone(), edited.line.clone());
    }
}
