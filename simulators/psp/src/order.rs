//! Who passed whom among the webhooks of one payment: which one was delivered last, and who waits to be passed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::intent::IntentId;

/// The payments that have webhooks on their way; no others are remembered.
#[derive(Clone, Debug, Default)]
pub struct Order(Arc<Mutex<HashMap<IntentId, UnderWay>>>);

#[derive(Debug, Default)]
struct UnderWay {
    webhooks: usize,
    /// The latest ledger entry whose webhook was delivered.
    delivered: watch::Sender<u64>,
}

impl Order {
    /// One more webhook of `intent` is on its way.
    pub fn begin(&self, intent: IntentId) {
        self.lock().entry(intent).or_default().webhooks += 1;
    }

    /// It is no longer, delivered or not.
    pub fn end(&self, intent: IntentId) {
        let mut under_way = self.lock();
        let Some(entry) = under_way.get_mut(&intent) else { return };
        entry.webhooks -= 1;
        if entry.webhooks == 0 {
            under_way.remove(&intent);
        }
    }

    /// The webhook of ledger entry `n` was delivered. Returns whether a later one was delivered before it.
    pub fn delivered(&self, intent: IntentId, n: u64) -> bool {
        let under_way = self.lock();
        let Some(entry) = under_way.get(&intent) else { return false };
        let latest = *entry.delivered.borrow();
        entry.delivered.send_replace(latest.max(n));
        latest > n
    }

    /// Returns once a webhook of a later entry than `n` was delivered, or after `at_most`.
    pub async fn wait_for_a_later_one(&self, intent: IntentId, n: u64, at_most: Duration) {
        let Some(mut delivered) = self.lock().get(&intent).map(|entry| entry.delivered.subscribe()) else { return };
        // Neither ending matters: passed or not, it goes out now.
        let _ = tokio::time::timeout(at_most, delivered.wait_for(|latest| *latest > n)).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IntentId, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
