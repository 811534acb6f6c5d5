//! Reading carts quickly: look-aside in Redis, evicted by the change itself.
//!
//! | file | what |
//! | --- | --- |
//! | `reader` | a read from beginning to end |
//! | `flights` | single flight inside the process |
//! | `shared`, `lua/` | values and leases in Redis |
//! | `session`, `keep` | when a process may rely on what it finds there |
//! | `value` | what lies there |
//! | `xfetch` | early refresh |
//!
//! Redis stopped, slow, emptied or restored from an old snapshot makes reads slower, never wrong. Which cart belongs to whom is checked after
//! the cache, on every read.

mod flights;
mod keep;
mod reader;
mod session;
mod shared;
mod value;
mod xfetch;

use std::sync::Arc;
use std::time::Duration;

pub use self::reader::{CartReader, Read};
pub use self::shared::SharedCache;
pub use self::value::Visible;

/// Whether and how carts are cached.
#[derive(Clone, Debug, clap::Args)]
pub struct CacheConfig {
    /// Redis, which holds carts that were read lately, such as redis://127.1.0.2:6379. Without it, and while it is away, every read goes
    /// to the database.
    #[arg(long, env = "REDIS_URL")]
    redis_url: Option<String>,

    /// How long a cart stays in the cache after it was loaded, in milliseconds. Changes take it out at once; this is for the memory
    /// of Redis, and the last line of defence against a stale cart.
    #[arg(long, env = "CART_CACHE_TTL_MS", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    cart_cache_ttl_ms: u64,
}

impl CacheConfig {
    /// The cache, if one is configured.
    ///
    /// # Errors
    /// When the URL does not parse.
    pub fn build(&self) -> Result<Option<Arc<SharedCache>>, redis::RedisError> {
        let time_to_live = Duration::from_millis(self.cart_cache_ttl_ms);
        self.redis_url.as_deref().map(|url| SharedCache::new(url, time_to_live).map(Arc::new)).transpose()
    }
}
