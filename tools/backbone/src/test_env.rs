//! `backbone test-env -- <command>`: throw-away servers around a command, so that tests that need a real Postgres, Kafka or
//! Redis find one and leave nothing behind.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use ids::Region;
use tokio_util::sync::CancellationToken;

use crate::platform::{self, Layout, Options, Prefix, Progress, Scope, Settings, secrets};

/// What to run, and where its servers are.
#[derive(Debug, clap::Args)]
pub struct TestEnv {
    /// Addresses of the servers.
    #[arg(long, default_value = "127.104.0")]
    prefix: Prefix,
    /// Their data; wiped before and after.
    #[arg(long, default_value = ".run-test/servers")]
    test_dir: PathBuf,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Starts the servers, runs the command, stops the servers, and ends with the command's status.
///
/// # Errors
/// A server did not start or stop, or the command could not be run.
pub async fn run(asked: &TestEnv, interrupt: CancellationToken, progress: Progress<'_>) -> anyhow::Result<ExitCode> {
    // The link's addresses too: a test that cuts off the broker stands where the broker says that the link is.
    let settings = Settings { east: asked.prefix, outside: asked.prefix, throwaway: true, ..Settings::default() };
    // What an earlier run left, if it was killed.
    platform::down(&asked.test_dir, true, &|_| {}).await?;
    let layout = Layout::new(&asked.test_dir, settings)?;
    let options = Options { scope: Scope::TestServers, seed: false, interrupt: interrupt.clone() };
    platform::up(&layout, &options, progress).await?;
    let outcome = command(asked, &layout, interrupt).await;
    platform::down(&asked.test_dir, true, &|_| {}).await?;
    outcome
}

async fn command(asked: &TestEnv, layout: &Layout, interrupt: CancellationToken) -> anyhow::Result<ExitCode> {
    let (program, arguments) = asked.command.split_first().context("no command")?;
    let database_url = secrets::superuser_url(layout, Region::East, "postgres")?;
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("DATABASE_URL", &database_url)
        .env("TEST_POSTGRES_URL", &database_url)
        .env("TEST_KAFKA_BROKERS", layout.kafka_bootstrap(Region::East))
        .env("TEST_KAFKA_WAN_BROKERS", layout.wan_kafka_bootstrap(Region::East))
        .env("TEST_REDIS_URL", format!("redis://{}", layout.redis(Region::East)))
        // The whole-system tests start the services that stand beside this binary.
        .env("BACKBONE_BIN_DIR", &layout.bin_dir)
        .spawn()
        .with_context(|| format!("cannot run {}", program.to_string_lossy()))?;
    let status = tokio::select! {
        status = child.wait() => status?,
        () = interrupt.cancelled() => {
            child.kill().await.context("cannot end the command")?;
            anyhow::bail!("interrupted");
        }
    };
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
