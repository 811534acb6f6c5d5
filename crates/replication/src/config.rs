//! Bounds and paces.

use std::time::Duration;

/// The bounds of one direction between two replicas. Memory is bounded by them, never by the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most entries of a batch. 256: a transaction that joins as many carts takes some 10 ms, less than the round trip.
    pub batch_entries_max: usize,
    /// Most bytes of a batch. 64 KiB: 256 deltas of an edit, at about 150 bytes each, are 38 KiB. One larger entry travels alone.
    pub batch_bytes_max: usize,
    /// Most batches sent and not acknowledged. 32: 8,192 entries for each round trip of 80 ms and a commit are some 80,000 a second.
    /// Also the most batches that a receiver keeps while a commit runs; it drops what comes above that.
    pub window_batches_max: usize,
    /// Most bytes sent and not acknowledged, and one entry more when that entry alone is larger. 1 MiB: for each round trip of
    /// 80 ms 100 Mbit/s.
    pub window_bytes_max: usize,
    /// Most carts whose digests are compared at once. 256: the list that follows a difference has 256 ids and digests, 8 KiB.
    pub page_carts_max: usize,
    /// Most bytes of whole states in a message, and one state more when that state alone is larger. 64 KiB: as a batch, so that live
    /// traffic waits behind a repair no longer than behind itself.
    pub repair_bytes_max: usize,
    /// How long to wait for an answer before asking again. 1 s: a dozen round trips. Too short repeats work, too long delays a heal.
    pub resend_after: Duration,
    /// How long to trust that the log did not grow while nobody said so. 1 s: what a lost wake-up may cost.
    pub poll_every: Duration,
    /// Pause before each page. 50 ms: with a round trip of 80 ms that is a page in 130 ms, 2,000 carts a second, 9 minutes for a
    /// million.
    pub page_every: Duration,
    /// Pause between passes over all carts. 10 minutes: how long a difference that a bug made may live, besides the pass itself.
    pub pass_every: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch_entries_max: 256,
            batch_bytes_max: 64 * 1024,
            window_batches_max: 32,
            window_bytes_max: 1024 * 1024,
            page_carts_max: 256,
            repair_bytes_max: 64 * 1024,
            resend_after: Duration::from_secs(1),
            poll_every: Duration::from_secs(1),
            page_every: Duration::from_millis(50),
            pass_every: Duration::from_secs(600),
        }
    }
}
