//! The order service's settings, parsed and checked before a port is bound.

use std::time::Duration;

use chassis::config::{DatabaseConfig, ServiceConfig};
use outbox::config::SpineConfig;

use crate::sagas::Patience;
use crate::sagas::place_order::Settings;

/// Settings of `order serve`.
#[derive(Debug, clap::Args)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub service: ServiceConfig,
    /// The order database.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// The event spine.
    #[command(flatten)]
    pub spine: SpineConfig,
    /// The cart service of this region.
    #[arg(long, env = "CART_URL")]
    pub cart_url: String,
    /// The inventory service of this region.
    #[arg(long, env = "INVENTORY_URL")]
    pub inventory_url: String,
    /// The payment service of this region.
    #[arg(long, env = "PAYMENT_URL")]
    pub payment_url: String,
    /// The other region's order service, over the link: it answers for the orders that belong to it.
    #[arg(long, env = "PEER_ORDER_URL")]
    pub peer_order_url: String,
    /// How long after it was placed an order ships, in milliseconds: the window in which a cancel can win.
    #[arg(long, env = "FULFILMENT_DELAY_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(0..=86_400_000))]
    pub fulfilment_delay_ms: u64,
    /// How long an order may be undecided, in milliseconds. Bounded by the five minutes after which a cart asks for the fate of a
    /// checkout whose order is unknown: later than that a cut may be put back that is still becoming an order.
    #[arg(long, env = "PLACEMENT_LIMIT_MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=240_000))]
    pub placement_limit_ms: u64,
    /// Turns that a saga may fail before it is parked for a person. They are some seconds apart: below the length of an outage that
    /// mends itself, people are called for nothing.
    #[arg(long, env = "SAGA_ATTEMPTS_MAX", default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub saga_attempts_max: u32,
}

impl Config {
    /// See [`Config::fulfilment_delay_ms`].
    pub const fn fulfilment_delay(&self) -> Duration {
        Duration::from_millis(self.fulfilment_delay_ms)
    }

    /// How patient the saga is.
    pub fn saga(&self) -> Settings {
        Settings {
            placement_limit: Duration::from_millis(self.placement_limit_ms),
            patience: Patience { attempts_max: self.saga_attempts_max },
            ..Settings::default()
        }
    }
}
