//! How often each fault really came about, so that a drill can prove that its faults bit.
//!
//! A fault counts when it happened, not when the dice wanted it: a time-out after the work only if the call wrote a line of the
//! ledger, a reordered webhook only if it was taken after a later one. Questions suffer the panel's faults too, but only calls count.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Calls that came, repeats included.
    Calls,
    /// Calls answered from what is stored under their key.
    Replays,
    /// A new line was written and nobody told.
    TimeoutAfterWork,
    /// Silence and no work.
    TimeoutBeforeWork,
    /// A new line was written after its caller was given up on.
    Straggler,
    /// 500 after a new line was written.
    ServerErrorAfterWork,
    /// 500 and no work.
    ServerErrorBeforeWork,
    /// Answered, but slowly.
    Slow,
    /// A good card was declined.
    Decline,
    /// Less was taken than was to be.
    PartialCapture,
    /// Events that were taken (2xx) at least once.
    WebhooksDelivered,
    /// Events that were taken twice.
    DuplicateWebhook,
    /// Events that were taken after a later one of the same payment.
    ReorderedWebhook,
    /// Twins with a wrong signature that were sent and answered.
    ForgedSignature,
    /// Lies with a good signature that were sent and answered.
    ForgedContent,
    /// Twins from an hour ago that were sent and answered.
    ReplayedWebhook,
    /// Wrong signatures and old times that the receiver took all the same (2xx): it must be zero.
    ForgeriesBelieved,
}

impl Count {
    const ALL: [(Self, &'static str); 17] = [
        (Self::Calls, "calls"),
        (Self::Replays, "replays"),
        (Self::TimeoutAfterWork, "timeout_after_work"),
        (Self::TimeoutBeforeWork, "timeout_before_work"),
        (Self::Straggler, "straggler"),
        (Self::ServerErrorAfterWork, "server_error_after_work"),
        (Self::ServerErrorBeforeWork, "server_error_before_work"),
        (Self::Slow, "slow"),
        (Self::Decline, "decline"),
        (Self::PartialCapture, "partial_capture"),
        (Self::WebhooksDelivered, "webhooks_delivered"),
        (Self::DuplicateWebhook, "duplicate_webhook"),
        (Self::ReorderedWebhook, "reorder_webhook"),
        (Self::ForgedSignature, "forged_signature"),
        (Self::ForgedContent, "forged_content"),
        (Self::ReplayedWebhook, "replayed_webhook"),
        (Self::ForgeriesBelieved, "forgeries_believed"),
    ];
}

/// Since the process started. `GET /faults/counts` shows them by name.
#[derive(Debug, Default)]
pub struct Counts([AtomicU64; Count::ALL.len()]);

impl Counts {
    /// Counts one.
    pub fn add(&self, count: Count) {
        self.0[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All of them.
    pub fn snapshot(&self) -> BTreeMap<&'static str, u64> {
        Count::ALL.iter().map(|(count, name)| (*name, self.0[*count as usize].load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_its_own_place_and_name() {
        let counts = Counts::default();
        for (count, name) in Count::ALL {
            counts.add(count);
            assert_eq!(counts.snapshot()[name], 1, "{name}");
        }
        assert_eq!(counts.snapshot().len(), Count::ALL.len());
    }
}
