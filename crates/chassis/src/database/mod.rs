//! The service's own Postgres database.

mod away;
mod clock;
mod condemned;

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};

pub use away::is_away;
pub use clock::DatabaseClock;
pub use condemned::{condemns, note, of_writers, still_writes};

/// How long a request waits for a free connection. Longer than a commit storm lasts, shorter than any caller's patience.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// An idle connection costs the server about 5 MB; ten minutes keeps the pool warm through a quiet spell.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// A connection is replaced now and then, so that a session's caches cannot grow for ever.
const LIFETIME_MAX: Duration = Duration::from_secs(1_800);
/// A transaction left open by a bug must not hold its locks for ever.
const IDLE_IN_TRANSACTION_TIMEOUT_MS: u64 = 10_000;

/// Where the service's database is and how hard it may be used.
#[derive(Clone, clap::Args)]
pub struct DatabaseConfig {
    /// Postgres URL. Set it through the environment only: it may hold a password, and arguments show in `ps`.
    #[arg(long, env = "DATABASE_URL", hide = true, hide_env_values = true)]
    database_url: PgConnectOptions,

    /// Connections of the pool. With c connections and t seconds per transaction the ceiling is c / t transactions a
    /// second: 8 at 2 ms is 4,000.
    #[arg(long, env = "DATABASE_CONNECTIONS_MAX", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub database_connections_max: u32,

    /// The server cancels a statement that runs longer, in milliseconds.
    #[arg(long, env = "STATEMENT_TIMEOUT_MS", default_value_t = 5_000)]
    pub statement_timeout_ms: u64,
}

/// The database settings do not hold together.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseConfigError {
    /// A pool can only be made inside a Tokio runtime.
    #[error("a database pool needs a running Tokio runtime")]
    NoRuntime,
}

impl DatabaseConfig {
    /// A pool that connects on first use, so that a service starts with its database down and answers UNAVAILABLE.
    ///
    /// # Errors
    /// [`DatabaseConfigError`] outside a Tokio runtime.
    pub fn connect(&self) -> Result<PgPool, DatabaseConfigError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(DatabaseConfigError::NoRuntime);
        }
        let options = self.database_url.clone().options([
            ("statement_timeout", self.statement_timeout_ms),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_TIMEOUT_MS),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(self.database_connections_max)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE_TIMEOUT)
            .max_lifetime(LIFETIME_MAX);
        Ok(of_writers(pool).connect_lazy_with(options))
    }
}

/// The bounds of `pool`, for another one beside it.
pub fn like(pool: &PgPool) -> PgPoolOptions {
    // Its hooks are those of `of_writers`.
    pool.options().clone()
}

/// Begins a transaction; use it in place of `pool.begin()`, wherever the caller can be dropped: at a deadline, when a client hangs up.
///
/// A `pool.begin()` that is dropped between sending BEGIN and reading its answer gives its connection back to the pool with the
/// transaction open (sqlx 0.9: its guard rolls back only what has been counted as begun). The next statement on that connection
/// is then written, answered, and never committed. So the connection is taken and begun in a task of its own, which nobody drops: if
/// the caller has gone, the transaction it would have got is dropped whole, which does roll back.
///
/// # Errors
/// Those of the pool and of the server.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    match tokio::spawn(async move { pool.begin().await }).await {
        Ok(begun) => begun,
        Err(ended) => Err(sqlx::Error::Io(std::io::Error::other(ended))),
    }
}

impl std::fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.debug_struct("DatabaseConfig")
            .field("database_connections_max", &self.database_connections_max)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .finish_non_exhaustive()
    }
}
