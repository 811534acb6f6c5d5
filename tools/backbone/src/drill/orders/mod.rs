//! What every drill about orders shares: shops and carts, an open loop that remembers each answer, the counters of the consumers, and
//! the judges that hold all of it against every store and against the provider's own ledger.

pub mod counters;
pub mod fates;
pub mod judge;
pub mod load;
pub mod processes;
pub mod returns;
pub mod stage;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::report::Report;
use crate::platform::{Layout, Progress};

/// What an interrupted drill ends with: it has found nothing out.
const INTERRUPTED_STATUS: u8 = 2;

/// Runs a drill, cleans up whatever becomes of it, and reports.
///
/// # Errors
/// The drill could not be carried out, or could not clean up.
pub async fn conduct(
    layout: &Layout,
    out: Option<&Path>,
    interrupt: CancellationToken,
    progress: Progress<'_>,
    perform: impl Future<Output = Result<Report>>,
    clean_up: impl AsyncFnOnce() -> Result<()>,
) -> Result<ExitCode> {
    // Caught here, so that even a panic is followed by the cleaning.
    let body = AssertUnwindSafe(perform).catch_unwind();
    let report = tokio::select! {
        report = body => Some(report.unwrap_or_else(|_| Err(anyhow!("the drill itself panicked")))),
        () = interrupt.cancelled() => None,
    };
    let cleaned = clean_up().await;
    let Some(report) = report else {
        cleaned?;
        progress("interrupted; what was broken is mended");
        return Ok(ExitCode::from(INTERRUPTED_STATUS));
    };
    let report = report?;
    progress(&report.to_string());
    for file in report.write(&layout.run_dir.join("reports"), out)? {
        progress(&format!("wrote {}", file.display()));
    }
    cleaned?;
    Ok(report.outcome().exit_code())
}
