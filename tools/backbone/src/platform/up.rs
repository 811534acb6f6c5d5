//! `up`: from whatever runs to everything ready, or back to what ran before.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use futures::future::{try_join_all, try_join3};
use ids::Region;
use tokio_util::sync::CancellationToken;

use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Kind, Part, PartName, Wave, Zone};
use super::plan::{self, Scope};
use super::runner::Runner;
use super::services::{self, Service};
use super::status::{self, PartStatus};
use super::{Progress, kafka, postgres, procfs, secrets, seed, tool};

/// What to bring up.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much of the system.
    pub scope: Scope,
    /// Whether to load the seed catalogue and its stock.
    pub seed: bool,
    /// Cancelled when the user loses patience: what was started is stopped again.
    pub interrupt: CancellationToken,
}

impl Default for Options {
    fn default() -> Self {
        Self { scope: Scope::System, seed: true, interrupt: CancellationToken::new() }
    }
}

/// Brings the system up. Repeating it is harmless: what runs is left alone, what is missing is added.
///
/// # Errors
/// A part failed: the error names it, and everything that this call started has been stopped again.
pub async fn up(layout: &Layout, options: &Options, progress: Progress<'_>) -> Result<Vec<PartStatus>, PlatformError> {
    let runner = Runner::open(layout, progress).await?;
    for folder in ["data", "conf", "log"].map(|folder| layout.run_dir.join(folder)) {
        // One level at a time: each is handed over to the account.
        runner.account.make_dir(&folder)?;
        for zone in [Zone::Region(Region::East), Zone::Region(Region::West), Zone::Outside] {
            runner.account.make_dir(&folder.join(zone.name()))?;
        }
    }
    secrets::ensure(layout, &runner.account)?;
    let parts = plan::parts(layout, options.scope)?;
    check(&runner, &parts)?;
    let outcome = tokio::select! {
        outcome = bring_up(&runner, &parts, options) => outcome,
        () = options.interrupt.cancelled() => Err(PlatformError::Interrupted),
    };
    if let Err(error) = outcome {
        progress("that failed; stopping what was started");
        runner.undo().await;
        return Err(error);
    }
    Ok(status::of(layout, &parts).await)
}

async fn bring_up(runner: &Runner<'_>, parts: &[Part], options: &Options) -> Result<(), PlatformError> {
    let outside = plan::wave(parts, Wave::Servers).into_iter().filter(|part| part.name.zone == Zone::Outside);
    let outside: Vec<Part> = outside.collect();
    let servers = plan::regions(parts).into_iter().map(|region| servers(runner, parts, region, options.scope));
    tokio::try_join!(try_join_all(servers), runner.start_all(&outside))?;
    for wave in Wave::ALL.into_iter().skip(1) {
        runner.start_all(&plan::wave(parts, wave)).await?;
    }
    if options.scope == Scope::System && options.seed {
        try_join_all(Region::ALL.map(|region| step(runner, region, "seed", seed::load(runner.layout, region)))).await?;
    }
    Ok(())
}

/// A region's servers, and what the services expect to find in them.
async fn servers(runner: &Runner<'_>, parts: &[Part], region: Region, scope: Scope) -> Result<(), PlatformError> {
    let layout = runner.layout;
    let of = |kind| parts.iter().filter(move |part| part.kind == kind && part.name.zone == Zone::Region(region));
    let databases = async {
        runner.start_all(of(Kind::Postgres)).await?;
        if scope != Scope::TestServers {
            step(runner, region, "databases", postgres::set_up(layout, region)).await?;
        }
        if scope == Scope::System {
            step(runner, region, "migrations", migrate(runner, region)).await?;
        }
        Ok(())
    };
    let topics = async {
        runner.start_all(of(Kind::Kafka)).await?;
        step(runner, region, "topics", kafka::create_topics(layout, region)).await
    };
    try_join3(databases, topics, runner.start_all(of(Kind::Redis))).await.map(|_| ())
}

/// Each service's own `migrate`, with its own role: it can reach no other database.
async fn migrate(runner: &Runner<'_>, region: Region) -> Result<(), PlatformError> {
    let services = Service::ALL.into_iter().filter(|service| service.has_database());
    try_join_all(services.map(|service| async move {
        let name = PartName::new(Zone::Region(region), service.name());
        let mut command = runner.account.command(runner.layout.bin_dir.join(service.name()).as_os_str());
        command.arg("migrate").envs(services::environment(runner.layout, region, service)?);
        tool::run(command, runner.layout, &name, "migrating its database").await
    }))
    .await
    .map(|_| ())
}

/// Does a step and says how long it took.
async fn step(
    runner: &Runner<'_>,
    region: Region,
    what: &str,
    work: impl Future<Output = Result<(), PlatformError>>,
) -> Result<(), PlatformError> {
    let begin = Instant::now();
    work.await?;
    let name = format!("{}: {what}", region.name());
    (runner.progress)(&format!("  {name:<16} done in {:.1} s", begin.elapsed().as_secs_f32()));
    Ok(())
}

/// Before anything starts: is everything there that is needed, and every address free that is not ours already.
fn check(runner: &Runner<'_>, parts: &[Part]) -> Result<(), PlatformError> {
    let missing = |what: String| PlatformError::Missing { what, remedy: tool::INSTALL };
    let to_start: Vec<&Part> = parts.iter().filter(|part| runner.running(&part.name).is_none()).collect();
    for part in &to_start {
        let program = &part.program;
        let found =
            if program.is_absolute() { program.is_file() } else { tool::find(&program.to_string_lossy()).is_some() };
        if !found {
            return Err(missing(program.display().to_string()));
        }
        if part.kind == Kind::Kafka && !has_jars(&runner.layout.kafka_dir) {
            return Err(missing(format!("Apache Kafka (in {})", runner.layout.kafka_dir.display())));
        }
    }
    let in_use: Vec<String> = to_start
        .iter()
        .flat_map(|part| part.listens.iter().map(move |address| (part, *address)))
        .filter_map(|(part, address)| {
            let error = TcpListener::bind(address).err()?;
            let why = match procfs::listener(address) {
                Some(holder) if error.kind() == ErrorKind::AddrInUse => format!("held by {holder}"),
                _ => error.to_string(),
            };
            Some(format!("  {address} for {}: {why}", part.name))
        })
        .collect();
    if in_use.is_empty() { Ok(()) } else { Err(PlatformError::AddressesInUse(in_use.join("\n"))) }
}

fn has_jars(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| {
        entries
            .any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "jar")))
    })
}
