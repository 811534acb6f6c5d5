//! One part at a time: what a user does to see what happens, and what the whole-system tests do.

use super::Progress;
use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Kind, Part, PartName};
use super::plan::{self, Scope};
use super::process::Identity;
use super::runner::Runner;
use super::state::State;

/// Starts a part unless it runs, and waits until it is ready.
///
/// # Errors
/// There is no such part, or it does not get ready.
pub async fn start(layout: &Layout, part: &PartName, progress: Progress<'_>) -> Result<(), PlatformError> {
    start_changed(layout, part, progress, |_| {}).await
}

/// As [`start`], but with the part changed: another program, another environment. The change lasts until the process ends.
///
/// # Errors
/// As [`start`].
pub async fn start_changed(
    layout: &Layout,
    part: &PartName,
    progress: Progress<'_>,
    change: impl FnOnce(&mut Part),
) -> Result<(), PlatformError> {
    let runner = Runner::open(layout, progress).await?;
    let mut part = plan::find(plan::parts(layout, Scope::System)?, part)?;
    change(&mut part);
    runner.start(&part).await
}

/// Asks a part to end, and kills it when it does not.
///
/// # Errors
/// There is no such part, or it does not end.
pub async fn stop(layout: &Layout, part: &PartName, progress: Progress<'_>) -> Result<(), PlatformError> {
    end(layout, part, false, progress).await
}

/// Ends a part and all its processes at once, as a crash would (`kill -9`).
///
/// # Errors
/// There is no such part, or it does not end.
pub async fn kill(layout: &Layout, part: &PartName, progress: Progress<'_>) -> Result<(), PlatformError> {
    end(layout, part, true, progress).await
}

/// Starts the next process of a service beside the one that runs, and returns that one: who froze it is to [`Identity::resume`] it and then to
/// [`end_predecessor`]. `None` when none ran. `change`: as in [`start_changed`].
///
/// # Errors
/// As [`restart`].
pub async fn start_beside(
    layout: &Layout,
    part: &PartName,
    change: impl FnOnce(&mut Part),
) -> Result<Option<Identity>, PlatformError> {
    let runner = Runner::open(layout, &|_| {}).await?;
    let mut part = plan::find(plan::parts(layout, Scope::System)?, part)?;
    change(&mut part);
    runner.start_beside(&part).await
}

/// Ends the process beside which [`start_beside`] started another, in good order.
///
/// # Errors
/// It does not end.
pub async fn end_predecessor(layout: &Layout, part: &PartName, last: &Identity) -> Result<(), PlatformError> {
    let runner = Runner::open(layout, &|_| {}).await?;
    let part = plan::find(plan::parts(layout, Scope::System)?, part)?;
    runner.end_predecessor(&part, last, false).await
}

/// The process of a part, when it runs.
///
/// # Errors
/// The record of what runs cannot be read.
pub fn running(layout: &Layout, part: &PartName) -> Result<Option<Identity>, PlatformError> {
    let state = State::load(&layout.run_dir)?;
    Ok(state.and_then(|state| state.running(part).map(|started| started.identity.clone())))
}

/// Restarts a part so that nobody notices: a service by starting the next process beside the one that runs, on the same addresses, and
/// then ending that one (`at_once`: as a crash would); any other part by stopping and starting it. `change`: as in [`start_changed`].
///
/// # Errors
/// There is no such part, or the next process does not get ready; then the last one still runs.
pub async fn restart(
    layout: &Layout,
    part: &PartName,
    at_once: bool,
    progress: Progress<'_>,
    change: impl FnOnce(&mut Part),
) -> Result<(), PlatformError> {
    let runner = Runner::open(layout, progress).await?;
    let mut part = plan::find(plan::parts(layout, Scope::System)?, part)?;
    change(&mut part);
    if part.kind == Kind::Service {
        return runner.take_over(&part, at_once).await;
    }
    runner.end(&part.name, at_once).await?;
    runner.start(&part).await
}

async fn end(layout: &Layout, part: &PartName, at_once: bool, progress: Progress<'_>) -> Result<(), PlatformError> {
    let runner = Runner::open(layout, progress).await?;
    let part = plan::find(plan::parts(layout, Scope::System)?, part)?;
    if !runner.end(&part.name, at_once).await? {
        progress(&format!("  {} does not run", part.name));
    }
    Ok(())
}
