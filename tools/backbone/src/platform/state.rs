//! `state.json`: what the run directory was set up with and which processes run. Written whole after every change, so that
//! `down` finds what to stop also after the command that started it was killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::error::PlatformError;
use super::layout::Settings;
use super::part::{PartName, StopSignal, Wave};
use super::process::Identity;
use super::watch::Watch;

/// How long a command waits for another one that works on the same run directory, such as an `up` in another window.
const LOCK_LIMIT: Duration = Duration::from_secs(90);

/// A process that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Which process.
    pub identity: Identity,
    /// When.
    pub started_at: DateTime<Utc>,
    /// Its turn when everything stops.
    pub wave: Wave,
    /// How it is asked to end.
    pub stop_signal: StopSignal,
    /// The process that it takes over from, until that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<Identity>,
}

/// What is known of a system between two commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What the run directory was set up with.
    pub settings: Settings,
    /// The last process of each part; whether it still runs is asked of the kernel, never remembered.
    pub parts: BTreeMap<PartName, Started>,
    /// Parts that an operator's order ended (`stop`, `kill`, `down`), until one starts them: nobody else may.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub ended_by_order: BTreeSet<PartName>,
    /// Who restarts what ends by itself, and what it did so far. The last one that there was: it may have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
}

impl State {
    /// Nothing started yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, parts: BTreeMap::new(), ended_by_order: BTreeSet::new(), watch: None }
    }

    /// What was saved, or `None` when nothing was.
    ///
    /// # Errors
    /// The file cannot be read or is not ours.
    pub fn load(run_dir: &Path) -> Result<Option<Self>, PlatformError> {
        let path = file(run_dir);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PlatformError::io("read", &path)(error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|source| PlatformError::State { path, source })
    }

    /// Replaces the file; a reader sees the old or the new.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, run_dir: &Path) -> Result<(), PlatformError> {
        let path = file(run_dir);
        let new = path.with_extension("json.new");
        let text =
            serde_json::to_string_pretty(self).map_err(|source| PlatformError::State { path: path.clone(), source })?;
        fs::write(&new, text).map_err(PlatformError::io("write", &new))?;
        fs::rename(&new, &path).map_err(PlatformError::io("write", &path))
    }

    /// The process of this part, when it really runs.
    pub fn running(&self, part: &PartName) -> Option<&Started> {
        self.parts.get(part).filter(|started| started.identity.is_alive())
    }
}

fn file(run_dir: &Path) -> PathBuf {
    run_dir.join("state.json")
}

/// Held while a command changes the system; the kernel gives it back when we end, however we end.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for its turn, making the run directory when it is missing.
    ///
    /// # Errors
    /// [`PlatformError::Busy`] when another command holds it for too long.
    pub async fn take(run_dir: &Path) -> Result<Self, PlatformError> {
        fs::create_dir_all(run_dir).map_err(PlatformError::io("make the folder", run_dir))?;
        let path = run_dir.join("lock");
        let file = File::create(&path).map_err(PlatformError::io("open", &path))?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(fs::TryLockError::Error(error)) => return Err(PlatformError::io("lock", &path)(error)),
                Err(fs::TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(PlatformError::Busy(run_dir.into()));
                }
                Err(fs::TryLockError::WouldBlock) => sleep(Duration::from_millis(50)).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), None);
        let identity = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let started = Started {
            identity,
            started_at: Utc::now(),
            wave: Wave::Doors,
            stop_signal: StopSignal::Terminate,
            predecessor: None,
        };
        let mut state = State::new(Settings::default());
        state.parts.insert("east/bff".parse().unwrap(), started);
        state.save(folder.path()).unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), Some(state));
    }

    #[tokio::test(start_paused = true)]
    async fn two_commands_do_not_work_on_one_run_directory() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).await.unwrap();
        assert!(matches!(Lock::take(folder.path()).await, Err(PlatformError::Busy(_))));
        drop(first);
        assert!(Lock::take(folder.path()).await.is_ok());
    }
}
