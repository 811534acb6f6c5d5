//! `down`: everything stops, in the reverse order of starting, whatever state it is in.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::Progress;
use super::error::PlatformError;
use super::layout::Layout;
use super::runner::Runner;

/// Stops everything that was started in this run directory, also after a crash of the command that started it. With `wipe`
/// its data, secrets, configuration and logs are deleted too.
///
/// # Errors
/// Something does not end or cannot be deleted. Nothing is deleted while anything runs.
pub async fn down(run_dir: &Path, wipe: bool, progress: Progress<'_>) -> Result<(), PlatformError> {
    let layout = match Layout::load(run_dir) {
        Ok(layout) => layout,
        Err(PlatformError::NothingHere(_)) if !wipe || !run_dir.exists() => {
            progress(&format!("nothing runs in {}", run_dir.display()));
            return Ok(());
        }
        // An `up` that failed early may have left folders.
        Err(PlatformError::NothingHere(_)) => Layout::new(run_dir, super::Settings::default())?,
        Err(error) => return Err(error),
    };
    let runner = Runner::open(&layout, progress).await?;
    runner.end_all(|_| true).await?;
    if wipe {
        // The record goes last: with it gone, nobody would know what the rest belongs to.
        for folder in ["data", "conf", "secrets", "log"].map(|folder| layout.run_dir.join(folder)) {
            gone(fs::remove_dir_all(&folder)).map_err(PlatformError::io("delete", &folder))?;
        }
        let record = layout.run_dir.join("state.json");
        gone(fs::remove_file(&record)).map_err(PlatformError::io("delete", &record))?;
        progress(&format!("  wiped {}", layout.run_dir.display()));
    }
    Ok(())
}

fn gone(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
