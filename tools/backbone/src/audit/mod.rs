//! `backbone audit`: reads every store of both regions and the provider's ledger, and checks that they tell one story.
//!
//! In order: [`activity`] waits until nothing is in flight, [`sources`] reads, [`activity`] sees whether anything moved
//! meanwhile, [`checks`] judge what was read, [`report`] says what it comes to. The checks are pure and each of them is known to
//! fail: its tests doctor a sound system and see the row named.
//!
//! The audit trusts no service. It reads the tables themselves as superuser, Kafka without a group, and the provider's own ledger, and
//! asks none of the services. It changes nothing.

mod activity;
pub(crate) mod both;
mod checks;
mod print;
pub mod report;
pub(crate) mod sources;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;

use self::activity::Activity;
use self::report::{Report, Verdict};
use crate::platform::Layout;
use crate::replay::report::write_json;

/// Between two looks at what is in flight. A look costs some fourteen connections and as many counts.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Flags of `backbone audit`.
#[derive(Clone, Debug, clap::Args)]
pub struct AuditArgs {
    /// Seconds to wait for work in flight. What is not done by then is named.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub settle: u16,
    /// Where to write the report as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// The report as a file: what it comes to stands first.
#[derive(Serialize)]
struct Written<'a> {
    verdict: Verdict,
    #[serde(flatten)]
    report: &'a Report,
}

/// Audits the running system and prints what it found. Exit status 0 only if every check holds, 1 if one failed, 2 if it cannot be
/// told.
///
/// # Errors
/// The report cannot be printed or written.
pub async fn run(layout: &Layout, args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let report = audit(layout, Duration::from_secs(args.settle.into())).await;
    print::print(&report)?;
    if let Some(file) = &args.json {
        write_json(file, &Written { verdict: report.verdict(), report: &report })?;
    }
    Ok(report.exit_code())
}

/// Audits the running system, waiting up to `settle` for work in flight and for a moment in which nothing moves.
pub async fn audit(layout: &Layout, settle: Duration) -> Report {
    let begin = Instant::now();
    loop {
        let before = quiet(layout, begin + settle).await;
        let waited = begin.elapsed();
        let stores = sources::read(layout).await;
        let stood_still = activity::look(layout).await == before;
        if stood_still || begin.elapsed() >= settle {
            return Report::new(checks::judge(&stores), waited, stood_still);
        }
    }
}

/// How much will still change by itself; `None` while a store cannot be asked.
pub(crate) async fn in_flight(layout: &Layout) -> Option<i64> {
    let seen = activity::look(layout).await;
    seen.is_whole().then_some(seen.in_flight)
}

/// Waits until nothing is in flight, but not beyond `deadline`. Returns the last look.
async fn quiet(layout: &Layout, deadline: Instant) -> Activity {
    loop {
        let seen = activity::look(layout).await;
        if seen.in_flight == 0 || Instant::now() + LOOK_EVERY > deadline {
            return seen;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
