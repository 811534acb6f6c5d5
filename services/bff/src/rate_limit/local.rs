//! The count in this process, for when Redis is away.

use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, RateLimiter};

use super::{Client, Quota, TooMany};

/// Clients that have been quiet are forgotten every so many requests, which bounds the memory to the clients of a moment.
const REQUESTS_PER_CLEANUP: u32 = 8_192;

pub(super) struct LocalLimit {
    clients: DefaultKeyedRateLimiter<Client>,
    clock: DefaultClock,
    requests: AtomicU32,
}

impl LocalLimit {
    pub(super) fn new(quota: Quota) -> Self {
        let quota = governor::Quota::per_second(quota.per_second).allow_burst(quota.burst);
        Self { clients: RateLimiter::keyed(quota), clock: DefaultClock::default(), requests: AtomicU32::new(0) }
    }

    pub(super) fn admit(&self, client: Client) -> Result<(), TooMany> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % REQUESTS_PER_CLEANUP == REQUESTS_PER_CLEANUP - 1 {
            self.clients.retain_recent();
        }
        self.clients
            .check_key(&client)
            .map_err(|refused| TooMany { retry_after: refused.wait_time_from(self.clock.now()) })
    }
}

impl std::fmt::Debug for LocalLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalLimit").finish_non_exhaustive()
    }
}
