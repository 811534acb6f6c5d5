//! Settings of the bff; every one is also an environment variable of the same name in capitals.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chassis::client::InvalidUrl;
use chassis::config::ServiceConfig;
use chassis::server::{Places, PlacesMax, share};
use tokio_util::sync::CancellationToken;

use crate::cors::{Cors, Origin};
use crate::event_streams::{EventStreams, StreamsMax};
use crate::rate_limit::{Quota, RateLimit};
use crate::session::{InvalidKey, SessionKey};
use crate::{Backends, Bff, CartChanges, Carts, Catalog, Orders};

/// Requests whose body is being received, for each that is served: 1,024, with at most as many bodies in memory as the largest fit into 256 MB.
const RECEIVING_PER_PLACE: usize = 2;

/// Everything the bff is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// What every service is told.
    #[command(flatten)]
    pub service: ServiceConfig,

    /// The cart service, such as http://127.1.0.11:50051.
    #[arg(long, env = "CART_URL")]
    pub cart_url: String,

    /// The catalogue.
    #[arg(long, env = "CATALOG_URL")]
    pub catalog_url: String,

    /// The order service.
    #[arg(long, env = "ORDER_URL")]
    pub order_url: String,

    /// Redis, which counts requests per client, such as redis://127.1.0.2:6379. While it is away each process counts for
    /// itself.
    #[arg(long, env = "REDIS_URL")]
    pub redis_url: String,

    /// File that holds the key of sessions: 32 bytes in hexadecimal. Another key ends every session.
    #[arg(long, env = "SESSION_KEY_FILE")]
    pub session_key_file: PathBuf,

    /// Requests a second that one client may make for long. Far above what a shopper does; a shop's own tool that fills a
    /// cart with 1,500 lines stays below it.
    #[arg(long, env = "RATE_LIMIT_PER_SECOND", default_value = "500")]
    pub rate_limit_per_second: NonZeroU32,

    /// Requests that one client may make at once after a pause.
    #[arg(long, env = "RATE_LIMIT_BURST", default_value = "1000")]
    pub rate_limit_burst: NonZeroU32,

    /// The part, in percent, of the requests in flight that one session may hold; one more is refused with TOO_MANY_AT_ONCE. A browser has
    /// six at once; 25 % of 512 are 128, with which a shop's own tool fills a cart in seconds.
    #[arg(long, env = "SESSION_SHARE_PERCENT", default_value_t = 25, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub session_share_percent: u8,

    /// Origins whose pages may call this API from a browser, separated by commas, such as https://shop.example. Empty: none but pages of
    /// this same origin.
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<Origin>,

    /// Carts that one session may watch at once; one more ends the oldest of its own.
    #[arg(long, env = "EVENT_STREAMS_PER_SESSION", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub event_streams_per_session: u32,

    /// Carts watched at once; one more ends the oldest of the same address if that holds its share (CLIENT_SHARE_PERCENT), and else is
    /// refused with TOO_MANY_WATCHERS. 1,000 is what one process of the cart service serves, fits
    /// into the 1,024 streams of one connection to it, and leaves 3,096 of this process's 4,096 connections to requests. Each
    /// holds the cart it sent last: some 3 kB of JSON for ten lines, 400 kB for the longest, so 3 MB as a rule and 400 MB at the very worst.
    #[arg(long, env = "EVENT_STREAMS_MAX", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub event_streams_max: u32,

    /// The longest that one watcher is served before it has to connect again, in milliseconds; each gets 80 to 100 % of it. It is
    /// how a process that came later gets its share, and how soon the seat of a client that vanished is free at the latest. 1,000
    /// streams of five minutes are 4 openings a second; streams of a second would be a thousand.
    #[arg(long, env = "EVENT_STREAM_LIFE_MAX_MS", default_value_t = 300_000)]
    pub event_stream_life_max_ms: u64,
}

/// A setting that cannot work. Nothing has been started then.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The session key cannot be read.
    #[error("cannot read session key file {}", path.display())]
    KeyFile {
        /// As configured.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The session key is not a key.
    #[error("session key file {} holds no key", path.display())]
    Key {
        /// As configured.
        path: PathBuf,
        /// What would be one.
        source: InvalidKey,
    },
    /// The URL of a service does not parse.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The URL of Redis does not parse.
    #[error("invalid Redis URL")]
    Redis(#[from] redis::RedisError),
}

impl Config {
    /// Checks the settings and makes the parts; connects to nothing yet. Streams of events end when `draining` is cancelled. Call it
    /// inside the runtime.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn build(&self, draining: CancellationToken) -> Result<Arc<Bff>, ConfigError> {
        let path = &self.session_key_file;
        let key =
            std::fs::read_to_string(path).map_err(|source| ConfigError::KeyFile { path: path.clone(), source })?;
        let session_key =
            SessionKey::from_hex(&key).map_err(|source| ConfigError::Key { path: path.clone(), source })?;
        let quota = Quota { per_second: self.rate_limit_per_second, burst: self.rate_limit_burst };
        Ok(Arc::new(Bff {
            region: self.service.region,
            backends: Backends {
                carts: Carts::new(&self.cart_url)?,
                cart_changes: CartChanges::new(&self.cart_url)?,
                catalog: Catalog::new(&self.catalog_url)?,
                orders: Orders::new(&self.order_url)?,
            },
            session_key,
            rate_limit: RateLimit::new(&self.redis_url, quota)?,
            in_flight: Places::new(self.places(self.service.requests_in_flight_max())),
            receiving: Places::new(self.places(self.service.requests_in_flight_max() * RECEIVING_PER_PLACE)),
            cors: Cors::new(self.cors_origins.clone()),
            event_streams: EventStreams::new(
                self.streams(),
                Duration::from_millis(self.event_stream_life_max_ms),
                draining,
            ),
        }))
    }

    /// So many places, and each client's share of them.
    fn places(&self, all: usize) -> PlacesMax {
        let per_address = share(all, self.service.client_share_percent);
        PlacesMax { all, per_address, per_session: share(all, self.session_share_percent) }
    }

    fn streams(&self) -> StreamsMax {
        let all = self.event_streams_max as usize;
        let per_address = share(all, self.service.client_share_percent);
        StreamsMax { all, per_address, per_session: self.event_streams_per_session as usize }
    }
}
