//! Which carts have changed, whoever changed them: this process, another one, replication from the other region, a person with a SQL
//! prompt.
//!
//! Each process holds a temporary slot of logical decoding and reads from it the ids of changed carts, after their commit and at no cost to
//! it. (`notify` would be at the commits' cost: they then take turns, fsync included.) What it hears goes first to the read cache
//! ([`crate::cache`]), which evicts, and then to the watchers ([`Watchers`]), which read again.
//!
//! The rules:
//! - A change is passed on only once it can be read ([`visibility`]), and every change that can be read is passed on soon after.
//! - While there is no stream, nobody may rely on silence: the cache is not used, and what was missed counts as "any cart".
//! - Nothing here is a condition of readiness. Without the feed reads go to the database. It has a condition of its own ([`absence`]).

mod absence;
mod pgoutput;
mod stream;
mod visibility;
mod watchers;

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chassis::retry::Backoff;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;

pub use self::stream::FeedError;
pub use self::watchers::{Deaf, TooManyWatchers, Watch, Watchers};

use self::absence::Absence;
use self::stream::Stream;
use self::visibility::{Changed, Unseen};
use crate::cache::SharedCache;

/// A lost stream is opened again this soon, then more slowly. Watchers wait for it, and each try costs the server one connection.
const REOPEN: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// How long until a change that was heard and not seen is looked for again. Commits become visible within microseconds as a rule.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Follows the changes of all carts in the service's database.
pub struct ChangeFeed {
    options: Arc<PgConnectOptions>,
    cache: Option<Arc<SharedCache>>,
    watchers: Watchers,
}

impl ChangeFeed {
    /// Follows the database of `pool`, for the cache, if there is one, and for `watchers`. It uses two connections of its own.
    pub fn new(pool: &PgPool, cache: Option<Arc<SharedCache>>, watchers: Watchers) -> Self {
        Self { options: pool.connect_options(), cache, watchers }
    }

    /// Follows until `token` is cancelled, and opens a lost stream again.
    ///
    /// # Errors
    /// None; the signature is that of a worker.
    pub async fn run(&self, token: CancellationToken) -> Result<(), FeedError> {
        let mut absence = Absence::begin();
        loop {
            let followed = tokio::select! {
                () = token.cancelled() => return Ok(()),
                followed = self.follow(&mut absence) => followed,
            };
            let Err(error) = followed;
            let held_by = absence.goes_on(&error, &self.options).await.map(|holder| holder.to_string());
            tracing::warn!(
                error = &error as &dyn Error,
                held_by,
                "changes of carts are not heard of; reads go to the database"
            );
            metrics::counter!("cart_feed_failures_total").increment(1);
            tokio::select! {
                () = token.cancelled() => return Ok(()),
                () = tokio::time::sleep(REOPEN.delay_now(absence.failures)) => {}
            }
        }
    }

    async fn follow(&self, absence: &mut Absence) -> Result<Infallible, FeedError> {
        let mut stream = Stream::open(&self.options).await?;
        let mut unseen = Unseen::default();
        // The slot hears of what commits from now on. A transaction that had committed just before, and that readers do not see yet, would
        // fall in between: whatever still runs counts, when it ends, as a change of any cart.
        stream.snapshot().await?.running().for_each(|transaction| unseen.heard(transaction, Changed::Any));
        let _hearing = Hearing::begin(self);
        absence.ends();
        tracing::info!("changes of carts are heard of");
        loop {
            let heard = tokio::select! {
                heard = stream.next() => heard?,
                () = tokio::time::sleep(LOOK_AGAIN), if !unseen.is_empty() => Vec::new(),
            };
            heard.into_iter().for_each(|(transaction, changed)| unseen.heard(transaction, changed));
            if !unseen.is_empty() {
                let snapshot = stream.snapshot().await?;
                self.pass_on(unseen.shown(&snapshot)).await;
            }
            // There is a sign of life each second, so it is asked about as often.
            stream.keep().await?;
        }
    }

    /// First the cache, then the watchers: they read through it.
    async fn pass_on(&self, changed: Changed) {
        match changed {
            Changed::Carts(carts) if carts.is_empty() => {}
            Changed::Carts(carts) => {
                if let Some(cache) = &self.cache {
                    cache.evict(carts.iter().copied()).await;
                }
                self.watchers.changed(&carts);
            }
            Changed::Any => {
                if let Some(cache) = &self.cache {
                    cache.evict_all().await;
                }
                self.watchers.any_changed();
            }
        }
    }
}

/// While it lives, silence means that nothing changes.
struct Hearing<'a>(&'a ChangeFeed);

impl<'a> Hearing<'a> {
    fn begin(feed: &'a ChangeFeed) -> Self {
        if let Some(cache) = &feed.cache {
            cache.feed_begins();
        }
        feed.watchers.set_hearing(true);
        // What was missed is unknown.
        feed.watchers.any_changed();
        Self(feed)
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        if let Some(cache) = &self.0.cache {
            cache.feed_ends();
        }
        self.0.watchers.set_hearing(false);
    }
}
