//! Short-lived programs that a part needs before or between its runs: `initdb`, Kafka's storage tool, migrations.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::error::PlatformError;
use super::layout::Layout;
use super::part::PartName;
use super::process;

/// What to do when a program is missing.
pub const INSTALL: &str = "run `make up`, or deploy/local/bootstrap to see what it needs";

/// How long such a program may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Finds a program in the path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|candidate| candidate.is_file())
}

/// Runs a program to its end. Its output goes to the part's log only when it fails.
///
/// # Errors
/// It failed or took too long; the error has its last lines.
pub async fn run(mut command: Command, layout: &Layout, part: &PartName, what: &str) -> Result<(), PlatformError> {
    command.stdin(Stdio::null()).current_dir(&layout.run_dir).kill_on_drop(true);
    let output = match timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(failed(layout, part, format!("{what} did not start: {error}"))),
        Err(_) => return Err(failed(layout, part, format!("{what} took longer than {} s", LIMIT.as_secs()))),
    };
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    Err(PlatformError::Part {
        part: part.clone(),
        why: format!("{what} failed ({})", output.status),
        log: layout.log(part),
        tail: lines[lines.len().saturating_sub(12)..].join("\n"),
    })
}

/// An error about a part, with the end of its log.
pub fn failed(layout: &Layout, part: &PartName, why: String) -> PlatformError {
    let log = layout.log(part);
    let tail = process::tail(&log, 12);
    PlatformError::Part { part: part.clone(), why, log, tail }
}
