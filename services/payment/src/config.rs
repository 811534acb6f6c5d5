//! The service's settings, checked before a port is bound.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::config::{DatabaseConfig, ServiceConfig};
use ids::Region;
use outbox::config::SpineConfig;

use crate::psp::{ApiKey, ClientConfig, GuardConfig, HttpProvider, InvalidClientConfig};
use crate::reconcile::GRACE;
use crate::webhook::signature::{EmptySecret, WebhookSecret};

/// A new connection within the region or to the provider's edge takes a few milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Settings of `payment serve`. Each flag has an environment variable of the same name in capitals.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// What every service has.
    #[command(flatten)]
    pub service: ServiceConfig,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// The event spine.
    #[command(flatten)]
    pub spine: SpineConfig,

    /// The payment provider.
    #[command(flatten)]
    pub psp: PspConfig,

    /// Where the provider's webhooks come in (HTTP).
    #[arg(long, env = "WEBHOOK_LISTEN")]
    pub webhook_listen: SocketAddr,

    /// File with the secret that the provider signs its webhooks with.
    #[arg(long, env = "WEBHOOK_SECRET_FILE")]
    pub webhook_secret_file: PathBuf,

    /// The marketplace's commission on what a seller earns, in hundredths of a percent. Fixed on each payment as it begins.
    #[arg(long, env = "COMMISSION_BASIS_POINTS", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub commission_basis_points: u16,

    /// How often our books are compared with the provider's, in milliseconds.
    #[arg(long, env = "RECONCILE_EVERY_MS", default_value_t = 300_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub reconcile_every_ms: u64,

    /// How far back each comparison looks, in hours. Longer spans are for `payment reconcile`, at night.
    #[arg(long, env = "RECONCILE_WINDOW_HOURS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=720))]
    pub reconcile_window_hours: u64,
}

/// How to reach the provider.
#[derive(Clone, Debug, clap::Args)]
pub struct PspConfig {
    /// The payment provider, such as http://127.3.0.20:8080.
    #[arg(long, env = "PSP_URL")]
    pub psp_url: String,

    /// File with the account's api key at the provider.
    #[arg(long, env = "PSP_API_KEY_FILE")]
    pub psp_api_key_file: PathBuf,

    /// How long one call to the provider may take, in milliseconds; then its outcome is in doubt and it is asked about. Two
    /// calls must fit a turn of 5 s.
    #[arg(long, env = "PSP_TIMEOUT_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(50..=2_400))]
    pub psp_timeout_ms: u64,
}

/// Settings of `payment reconcile`.
#[derive(Clone, Debug, clap::Args)]
pub struct ReconcileConfig {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseConfig,
    /// The payment provider.
    #[command(flatten)]
    pub psp: PspConfig,

    /// The region whose payments these are.
    #[arg(long, env = "REGION")]
    pub region: Region,

    /// How far back to look, in hours.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..=8_760))]
    pub since_hours: u64,

    /// What is younger than this, in seconds, is in flight and left out. 0 only when nothing is.
    #[arg(long, default_value_t = GRACE.as_secs(), value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub grace_seconds: u64,
}

/// The settings do not hold together.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A secret's file cannot be read.
    #[error("cannot read {}", path.display())]
    SecretFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The provider cannot be called.
    #[error(transparent)]
    Provider(#[from] InvalidClientConfig),
    /// Webhooks cannot be verified.
    #[error(transparent)]
    WebhookSecret(#[from] EmptySecret),
}

impl PspConfig {
    /// The provider's client. Call it inside the runtime; connects on first use.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn provider(&self) -> Result<HttpProvider, ConfigError> {
        Ok(HttpProvider::new(ClientConfig {
            url: self.psp_url.clone(),
            api_key: ApiKey::new(&read(&self.psp_api_key_file)?),
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: Duration::from_millis(self.psp_timeout_ms),
            guard: GuardConfig::default(),
        })?)
    }
}

impl Config {
    /// The secret of the webhooks.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn webhook_secret(&self) -> Result<WebhookSecret, ConfigError> {
        Ok(WebhookSecret::new(&read(&self.webhook_secret_file)?)?)
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::SecretFile { path: path.to_owned(), source })
}
