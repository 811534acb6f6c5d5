//! Settings that every service has. Each flag has an environment variable of the same name in capitals.

use std::net::SocketAddr;
use std::time::Duration;

use ids::Region;

pub use crate::database::{DatabaseConfig, DatabaseConfigError};

/// What every service is told: who it is, where it listens, how it ends.
#[derive(Debug, Clone, clap::Args)]
pub struct ServiceConfig {
    /// The region this process belongs to, `east` or `west`. A wrong one makes it act on the other region's orders.
    #[arg(long, env = "REGION")]
    pub region: Region,

    /// Where requests come in: gRPC, or HTTP for the bff.
    #[arg(long, env = "LISTEN")]
    pub listen: SocketAddr,

    /// Where operators ask: HTTP /healthz, /readyz and /metrics. Not for the public.
    #[arg(long, env = "ADMIN_LISTEN")]
    pub admin_listen: SocketAddr,

    /// OTLP/gRPC collector, such as http://127.0.0.1:4317. Without it spans are not exported and cost next to nothing.
    #[arg(long, env = "OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Log filter in env-filter syntax, such as `info,order=debug`.
    #[arg(long, env = "LOG", default_value = "info")]
    pub log: String,

    /// How long requests in flight may take to finish after SIGTERM, in milliseconds. Longer than the longest deadline
    /// a client may set is wasted; shorter cuts answers off.
    #[arg(long, env = "DRAIN_GRACE_MS", default_value_t = 10_000)]
    pub drain_grace_ms: u64,

    /// Requests served at once; one more is refused with OVERLOADED, which costs the caller a retry instead of a
    /// time-out. By Little's law 512 in flight at 1,000 requests per second is half a second of latency: a service
    /// that is so far behind answers faster by refusing.
    #[arg(long, env = "REQUESTS_IN_FLIGHT_MAX", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_in_flight_max: u32,

    /// Connections held at once. At the end of them the least useful one of whoever holds the most is closed for the next: one that says
    /// nothing first, then one that waits between two requests. Each costs some 16 KB of buffers and a file descriptor.
    #[arg(long, env = "CONNECTIONS_MAX", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections_max: u32,

    /// The part, in percent, that one client address may hold of the connections and of the requests in flight, and for the bff of the
    /// streams of events too. What is left is for everybody else. Behind a proxy, or with all clients at one address, every client has
    /// the proxy's: 100 leaves the bounds to the proxy then, which knows its clients. An IPv6 client is its network of 64 bits.
    #[arg(long, env = "CLIENT_SHARE_PERCENT", default_value_t = 90, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub client_share_percent: u8,
}

impl ServiceConfig {
    /// Grace for requests in flight at shutdown.
    pub const fn drain_grace(&self) -> Duration {
        Duration::from_millis(self.drain_grace_ms)
    }

    /// Requests served at once.
    pub const fn requests_in_flight_max(&self) -> usize {
        self.requests_in_flight_max as usize
    }
}
