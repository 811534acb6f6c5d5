//! The command line: what may be asked, and who answers.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::audit::{self, AuditArgs};
use crate::bench::{self, BenchArgs};
use crate::cart::{self, CartArgs};
use crate::dlq::{self, DlqArgs};
use crate::drill::{self, DrillArgs};
use crate::load::{self, LoadArgs};
use crate::order::{self, OrderArgs};
use crate::payment::{self, PaymentArgs};
use crate::platform::{self, Layout, Options, PartName, Prefix, Scope, Settings};
use crate::replay::{self, ReplayArgs};
use crate::spine::restore::{self, EventsArgs};
use crate::wan::{self, WanArgs};
use crate::{logs, test_env, tour};

/// Runs the Marketplace Backbone on this machine, and checks what it promises.
#[derive(Debug, Parser)]
#[command(name = "backbone", version)]
pub struct Cli {
    /// Where all state is: data, secrets, configuration, logs.
    #[arg(long, global = true, env = "BACKBONE_RUN_DIR", default_value = ".run")]
    run_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start both regions and wait until everything is ready. Repeating it starts what is missing.
    Up(Up),
    /// Stop everything, also after a crash.
    Down {
        /// Delete data, secrets, configuration and logs too.
        #[arg(long)]
        wipe: bool,
    },
    /// Show what runs, where, and what it costs.
    Status,
    /// Show the logs of a part (east/cart), of a part in both regions (cart), or of all.
    Logs {
        /// The part.
        name: Option<String>,
        /// Keep showing what is added.
        #[arg(short, long)]
        follow: bool,
    },
    /// Start one part, such as east/postgres.
    Start {
        /// The part.
        part: PartName,
    },
    /// Stop one part in good order.
    Stop {
        /// The part.
        part: PartName,
    },
    /// Restart one part; a service so that nobody notices: its next process takes over on the same addresses.
    Restart {
        /// The part.
        part: PartName,
    },
    /// Kill one part as a crash would.
    Kill {
        /// The part.
        part: PartName,
    },
    /// The link between the regions: show, cut, heal, slow down.
    ///
    /// It is a good line of 80 ms when the system comes up, and again whenever outside/wan is started. A change is felt at once by
    /// every connection; what is on its way keeps its time.
    Wan(WanArgs),
    /// Replay a month of real orders through both regions, and reconcile it to the penny and the unit.
    Replay(ReplayArgs),
    /// Load both regions with orders at a rate, and measure.
    Load(LoadArgs),
    /// Measure the running system and write docs/benchmarks.md.
    Bench(BenchArgs),
    /// Break the running system on purpose, and judge what comes of it.
    Drill(DrillArgs),
    /// Read every store of both regions and check that they tell one story.
    Audit(AuditArgs),
    /// Look after one order.
    Order(OrderArgs),
    /// Carts: one of which a stored value does not decode, a restored database of them.
    Cart(CartArgs),
    /// Payments and refunds that are stuck, and what the provider's books and ours do not agree on.
    Payment(PaymentArgs),
    /// The dead letters: events that a consumer refused. List them, look at one, try again.
    Dlq(DlqArgs),
    /// The events of both regions: bring back what a broker lost.
    Events(EventsArgs),
    /// A process of `bench --only spine`.
    #[command(hide = true)]
    SpineWorker(bench::SpineWorker),
    /// Run a command with throw-away servers: DATABASE_URL, TEST_KAFKA_BROKERS and TEST_REDIS_URL are set for it.
    TestEnv(test_env::TestEnv),
}

/// What to bring up. The settings stay as they were when the run directory was set up, unless given.
#[derive(Debug, Args)]
struct Up {
    /// Addresses of region east [default: 127.1.0]
    #[arg(long)]
    east: Option<Prefix>,
    /// Addresses of region west [default: 127.2.0]
    #[arg(long)]
    west: Option<Prefix>,
    /// Addresses of the outside world [default: 127.3.0]
    #[arg(long)]
    outside: Option<Prefix>,
    /// Kafka brokers per region [default: 1]
    #[arg(long, value_parser = parse_brokers)]
    brokers: Option<u8>,
    /// Round trip between the regions, such as 20ms, until the link restarts [default: as it is; 80ms at first]
    #[arg(long, value_parser = wan::parse_delay)]
    rtt: Option<Duration>,
    /// Leave the catalogue empty.
    #[arg(long)]
    no_seed: bool,
    /// Postgres, Redis and Kafka only, to run services by hand.
    #[arg(long)]
    servers_only: bool,
    /// Stay, and start again what ends by itself, ever more slowly. What `stop`, `kill` or `down` ended stays down.
    #[arg(long)]
    watch: bool,
}

fn parse_brokers(text: &str) -> Result<u8, &'static str> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("a region has 1 broker, or 3 that replicate to each other"),
    }
}

impl Up {
    fn settings(&self, stored: Settings) -> Settings {
        Settings {
            east: self.east.unwrap_or(stored.east),
            west: self.west.unwrap_or(stored.west),
            outside: self.outside.unwrap_or(stored.outside),
            brokers: self.brokers.unwrap_or(stored.brokers),
            throwaway: stored.throwaway,
        }
    }
}

/// Does what was asked.
///
/// # Errors
/// It could not be done; the chain of causes says why.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let run_dir = &cli.run_dir;
    match cli.command {
        Command::Up(up) => bring_up(run_dir, &up).await?,
        Command::Down { wipe } => platform::down(run_dir, wipe, &print).await?,
        Command::Status => {
            let layout = Layout::load(run_dir)?;
            let parts = platform::status(&layout).await?;
            print(&platform::table(&parts, Utc::now()));
            print(&format!(" {}", platform::watched(&layout)));
            if let Some(link) = wan::summary(&layout).await {
                print(&format!(" {link}"));
            }
            let (replicated, is_replicated) = platform::replication(&layout).await;
            replicated.iter().for_each(|line| print(&format!(" {line}")));
            let all_well = is_replicated && parts.iter().all(|part| part.trouble.is_none());
            return Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Logs { name, follow } => return logs::show(&Layout::load(run_dir)?, name.as_deref(), follow),
        Command::Start { part } => platform::start(&Layout::load(run_dir)?, &part, &print).await?,
        Command::Stop { part } => platform::stop(&Layout::load(run_dir)?, &part, &print).await?,
        Command::Restart { part } => platform::restart(&Layout::load(run_dir)?, &part, false, &print, |_| {}).await?,
        Command::Kill { part } => platform::kill(&Layout::load(run_dir)?, &part, &print).await?,
        Command::Wan(asked) => print(&wan::run(&Layout::load(run_dir)?, &asked).await?),
        Command::Replay(asked) => return replay::run(asked).await,
        Command::Load(asked) => return load::run(asked).await,
        Command::Bench(args) => return bench::run(run_dir, &args).await,
        Command::SpineWorker(asked) => return bench::run_spine_worker(asked).await,
        Command::Drill(args) => return drill::run(&Layout::load(run_dir)?, args, interrupt()?, &print).await,
        Command::Audit(args) => return audit::run(&Layout::load(run_dir)?, &args).await,
        Command::Order(asked) => return order::run(&Layout::load(run_dir)?, asked, &print).await,
        Command::Cart(asked) => return cart::run(&Layout::load(run_dir)?, asked, &print).await,
        Command::Payment(asked) => return payment::run(&Layout::load(run_dir)?, asked, &print).await,
        Command::Dlq(args) => return dlq::run(&Layout::load(run_dir)?, &args, &print).await,
        Command::Events(args) => return restore::run(&Layout::load(run_dir)?, &args, &print).await,
        Command::TestEnv(asked) => return test_env::run(&asked, interrupt()?, &print).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn bring_up(run_dir: &std::path::Path, up: &Up) -> anyhow::Result<()> {
    let begin = std::time::Instant::now();
    let stored = Layout::load(run_dir).map(|layout| layout.settings).unwrap_or_default();
    let layout = Layout::new(run_dir, up.settings(stored))?;
    let scope = if up.servers_only { Scope::Servers } else { Scope::System };
    let options = Options { scope, seed: !up.no_seed, interrupt: interrupt()? };
    print(&format!("bringing up {} ({})", layout.run_dir.display(), layout.settings));
    let parts = platform::up(&layout, &options, &print).await?;
    if let Some(round_trip) = up.rtt.filter(|_| scope == Scope::System) {
        wan::set_round_trip(&layout, round_trip).await?;
    }
    print(&format!("\n{}\n up after {:.1} s", platform::table(&parts, Utc::now()), begin.elapsed().as_secs_f32()));
    if scope == Scope::System {
        print(&tour::first_steps(&layout));
    }
    if up.watch {
        platform::watch(&layout, options.interrupt, &print).await?;
    }
    Ok(())
}

/// Cancelled by Ctrl-C or SIGTERM.
fn interrupt() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminated = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let cancel = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        cancel.cancel();
    });
    Ok(token)
}

fn print(line: &str) {
    // Whoever reads may have seen enough, as `head` has.
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_setting_that_is_not_given_stays_as_it_was() {
        let parsed = Cli::try_parse_from(["backbone", "up", "--east", "127.101.0"]).unwrap();
        let Command::Up(up) = parsed.command else { unreachable!("parsed as up") };
        let settings = up.settings(Settings { brokers: 3, ..Settings::default() });
        assert_eq!((settings.east, settings.west, settings.brokers), (Prefix::new(101, 0), Prefix::new(2, 0), 3));
        assert!(Cli::try_parse_from(["backbone", "up", "--brokers", "2"]).is_err());
    }
}
