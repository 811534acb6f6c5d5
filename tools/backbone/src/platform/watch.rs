//! `up --watch`: starts again what ended by itself, ever more slowly, and never what an operator ended.
//!
//! The watch looks at the record of what runs ([`State`]) and at the kernel. A part that `stop`, `kill` or `down` ended is marked there, and is left
//! alone until somebody starts it. What the watch does is written there too, so that `status` can tell. While a drill breaks the system
//! on purpose ([`Hold`]) the watch waits.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::error::PlatformError;
use super::layout::Layout;
use super::part::PartName;
use super::plan::{self, Scope};
use super::process::Identity;
use super::runner::Runner;
use super::state::State;
use super::{Progress, log_bound};

/// How often the watch looks. A look reads one file and two lines of the kernel's for each part.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The first restart comes after this long, each further one in a row after twice as long, up to [`DELAY_MAX`].
const DELAY_MIN: Duration = Duration::from_secs(1);
/// A full disk or a wrong setting is not mended by trying more often than this.
const DELAY_MAX: Duration = Duration::from_secs(60);
/// A part that ran this long was well; its next end counts as the first.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// Restarts in a row after which the watch gives a part up: 1 + 2 + 4 + … + 32 s and ten minutes of one a minute.
const TRIES_MAX: u32 = 16;

/// What the watch did for a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restarts {
    /// Restarts since the watch began.
    pub all: u32,
    /// Restarts in a row, with no well run in between.
    pub tries: u32,
    /// The last one.
    pub last_at: Option<DateTime<Utc>>,
    /// The watch tries no more; starting the part by hand changes that.
    pub given_up: bool,
}

/// The watch, as the record has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Its process.
    pub identity: Identity,
    /// What it did, for each part that ended.
    pub restarts: BTreeMap<PartName, Restarts>,
}

impl Watch {
    /// One line for people: who watches, and what had to be restarted.
    pub fn summary(watch: Option<&Self>) -> String {
        let Some(watch) = watch.filter(|watch| watch.identity.is_alive()) else {
            return "not watched: a part that ends stays down (`backbone up --watch` would restart it)".to_owned();
        };
        let parts = watch.restarts.iter().map(|(name, done)| match (done.given_up, done.last_at) {
            (true, _) => format!("; {name} given up after {} tries (`backbone start {name}`)", done.tries),
            (false, Some(at)) => {
                format!("; {name} restarted {} times, last at {}", done.all, at.format("%H:%M:%S UTC"))
            }
            (false, None) => format!("; {name} ended and is restarted soon"),
        });
        format!("watched by pid {}{}", watch.identity.pid, parts.collect::<String>())
    }
}

/// How long to wait before the next restart; `None` when there were enough of them.
fn delay(tries: u32) -> Option<Duration> {
    (tries < TRIES_MAX).then(|| DELAY_MIN.saturating_mul(2_u32.saturating_pow(tries)).min(DELAY_MAX))
}

/// Held while somebody breaks the system on purpose: the watch restarts nothing meanwhile. The kernel gives it back when its holder ends.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

impl Hold {
    /// Holds the watch off.
    ///
    /// # Errors
    /// The run directory cannot be written.
    pub fn take(run_dir: &Path) -> Result<Self, PlatformError> {
        let file = Self::file(run_dir)?;
        file.lock_shared().map_err(PlatformError::io("lock", &run_dir.join("hold")))?;
        Ok(Self(file))
    }

    fn is_taken(run_dir: &Path) -> bool {
        Self::file(run_dir).is_ok_and(|file| file.try_lock().is_err())
    }

    fn file(run_dir: &Path) -> Result<File, PlatformError> {
        let path = run_dir.join("hold");
        File::create(&path).map_err(PlatformError::io("open", &path))
    }
}

/// Watches until `interrupt`, or until everything was ended by order. What runs goes on running.
///
/// # Errors
/// The record of what runs cannot be read.
pub async fn watch(layout: &Layout, interrupt: CancellationToken, progress: Progress<'_>) -> Result<(), PlatformError> {
    let mut watcher =
        Watcher { layout, progress, alive: BTreeMap::new(), due: BTreeMap::new(), restarts: BTreeMap::new() };
    watcher.record().await?;
    progress(&format!("watching {}; Ctrl-C ends the watch alone, `backbone down` all of it", layout.run_dir.display()));
    while !interrupt.is_cancelled() {
        tokio::select! {
            () = interrupt.cancelled() => break,
            () = sleep(LOOK_EVERY) => {}
        }
        log_bound::keep(layout);
        let Some(state) = State::load(&layout.run_dir)? else { break };
        if state.parts.keys().all(|name| state.ended_by_order.contains(name)) {
            progress("everything was stopped by order; the watch ends");
            break;
        }
        let ended = watcher.look(&state, Instant::now());
        if ended.is_empty() {
            continue;
        }
        if Hold::is_taken(&layout.run_dir) {
            // What the drill breaks it mends.
            watcher.due.clear();
            continue;
        }
        // Not to be dropped between a start and its record: an interrupt waits for one.
        for name in ended {
            watcher.restart(&name).await?;
        }
    }
    Ok(())
}

struct Watcher<'a> {
    layout: &'a Layout,
    progress: Progress<'a>,
    /// Processes that were seen running, and since when by our own clock, which nobody sets.
    alive: BTreeMap<PartName, (Identity, Instant)>,
    due: BTreeMap<PartName, Instant>,
    restarts: BTreeMap<PartName, Restarts>,
}

impl Watcher<'_> {
    /// Which parts are to be started now.
    fn look(&mut self, state: &State, now: Instant) -> Vec<PartName> {
        let mut to_start = Vec::new();
        for (name, started) in &state.parts {
            if state.ended_by_order.contains(name) {
                // Whoever starts it again by hand finds it with a clean slate.
                self.due.remove(name);
                self.restarts.remove(name);
            } else if started.identity.is_alive() {
                self.due.remove(name);
                match self.alive.get(name) {
                    Some((identity, since)) if *identity == started.identity => {
                        if now - *since >= WELL_AFTER
                            && let Some(done) = self.restarts.get_mut(name)
                        {
                            done.tries = 0;
                        }
                    }
                    _ => {
                        // Another process than the one given up: somebody started it.
                        if let Some(done) = self.restarts.get_mut(name).filter(|done| done.given_up) {
                            *done = Restarts::default();
                        }
                        self.alive.insert(name.clone(), (started.identity.clone(), now));
                    }
                }
            } else {
                let done = self.restarts.entry(name.clone()).or_default();
                let Some(delay) = delay(done.tries) else {
                    if !std::mem::replace(&mut done.given_up, true) {
                        (self.progress)(&format!("  {name} is given up after {} restarts in a row", done.tries));
                    }
                    continue;
                };
                let due = *self.due.entry(name.clone()).or_insert_with(|| {
                    (self.progress)(&format!("  {name} has ended; restart in {delay:?}"));
                    now + delay
                });
                if due <= now {
                    to_start.push(name.clone());
                }
            }
        }
        to_start
    }

    /// Starts one part again and does not wait until it is ready: operators' orders take turns with us.
    async fn restart(&mut self, name: &PartName) -> Result<(), PlatformError> {
        self.due.remove(name);
        let runner = match Runner::open(self.layout, self.progress).await {
            Ok(runner) => runner,
            // Somebody is at work for long; at the next look.
            Err(PlatformError::Busy(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        // Since we looked, an operator may have ordered otherwise.
        if runner.running(name).is_some() || runner.is_ended_by_order(name) {
            return Ok(());
        }
        let done = self.restarts.entry(name.clone()).or_default();
        (done.all, done.tries, done.last_at) = (done.all + 1, done.tries + 1, Some(Utc::now()));
        let part = plan::find(plan::parts(self.layout, Scope::System)?, name)?;
        let outcome = runner.start_unattended(&part).await;
        match outcome {
            Ok(identity) => (self.progress)(&format!("  {name} restarted as pid {}", identity.pid)),
            Err(error) => (self.progress)(&format!("  {name} could not be restarted: {error}")),
        }
        self.note(&runner);
        Ok(())
    }

    async fn record(&self) -> Result<(), PlatformError> {
        let runner = Runner::open(self.layout, self.progress).await?;
        self.note(&runner);
        Ok(())
    }

    /// Says in the record what we did. On a full disk that fails; the next time says it all.
    fn note(&self, runner: &Runner<'_>) {
        let own = i32::try_from(std::process::id()).ok().and_then(Identity::of);
        let Some(identity) = own else { return };
        if let Err(error) = runner.note_watch(Watch { identity, restarts: self.restarts.clone() }) {
            (self.progress)(&format!("  the watch could not be recorded: {error}"));
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
