//! A relay or a consumer as a process of its own, so that its processor time and memory can be told from the benchmark's.

use std::io::Read as _;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use ids::Region;
use outbox::config::SpineConfig;
use outbox::{Consumer, HandleError, Handler, Received, Relay};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgConnection, PgPool};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::ground::{CHANNEL, Ground};

/// The consumer group. Topics are new in each run, so it never meets an older one's offsets.
const GROUP: &str = "bench-spine";
/// As many connections as a service has.
const CONNECTIONS: u32 = 8;
const STOPS_WITHIN: Duration = Duration::from_secs(20);

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Outbox to Kafka.
    Relay,
    /// Kafka to the effect.
    Consumer,
}

/// `backbone spine-worker`: started by the benchmark, ends when its standard input does.
#[derive(Clone, Debug, clap::Args)]
pub struct SpineWorker {
    role: Role,
    #[arg(long)]
    topic: String,
    /// In the environment alone, where other users cannot read it.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    #[command(flatten)]
    spine: SpineConfig,
}

/// Works until standard input ends.
///
/// # Errors
/// It cannot start; the relay and the consumer wait out everything else.
pub async fn run(asked: SpineWorker) -> anyhow::Result<ExitCode> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(&asked.database_url).await?;
    let token = CancellationToken::new();
    tokio::spawn({
        let token = token.clone();
        async move {
            let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
            token.cancel();
        }
    });
    match asked.role {
        Role::Relay => Relay::new(pool, &asked.spine, Region::East, "bench").run(token).await?,
        Role::Consumer => consumer(pool, &asked).run(token).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn consumer(pool: PgPool, asked: &SpineWorker) -> Consumer<Row> {
    let topic: &'static str = asked.topic.clone().leak();
    Consumer::new(pool, &asked.spine, Region::East, GROUP, Row([topic].to_vec().leak()))
}

/// A row for each event, and a word to who waits for it, in one statement.
struct Row(&'static [&'static str]);

impl Handler for Row {
    fn topics(&self) -> &'static [&'static str] {
        self.0
    }

    async fn handle(&self, conn: &mut PgConnection, event: &Received) -> Result<(), HandleError> {
        let number = event.payload.first_chunk().copied().map(i64::from_be_bytes);
        let number = number.ok_or_else(|| HandleError::Poison("no number".to_owned()))?;
        sqlx::query(
            "with made as (insert into effect (number) values ($1) returning number)
             select pg_notify($2, number::text) from made",
        )
        .bind(number)
        .bind(CHANNEL)
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// A worker's process.
pub struct Worker(Child);

impl Worker {
    /// Starts one: this program again.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(role: Role, ground: &Ground) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program is gone")?;
        let role = match role {
            Role::Relay => "relay",
            Role::Consumer => "consumer",
        };
        let child = Command::new(program)
            .args(["spine-worker", role, "--topic", ground.topic, "--kafka-brokers", &ground.brokers])
            .env("DATABASE_URL", &ground.url)
            .env_remove("PEER_KAFKA_BROKERS")
            .stdin(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a worker")?;
        Ok(Self(child))
    }

    /// Its process; 0 when it has ended, which is nobody's.
    pub fn pid(&self) -> i32 {
        self.0.id().and_then(|pid| i32::try_from(pid).ok()).unwrap_or_default()
    }

    /// Ends it in good order.
    ///
    /// # Errors
    /// It did not end, or badly.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.0.stdin.take());
        let status = tokio::time::timeout(STOPS_WITHIN, self.0.wait()).await.context("a worker did not end")??;
        anyhow::ensure!(status.success(), "a worker ended with {status}");
        Ok(())
    }
}
