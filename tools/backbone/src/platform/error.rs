//! What can go wrong with the platform. Each message says which part, why, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use super::part::PartName;

/// What can go wrong with the platform.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// A part did not get ready, or a step for it failed. What this run started was stopped again.
    #[error("{part}: {why}\n  log: {}{}", log.display(), tail_block(tail))]
    Part {
        /// Which.
        part: PartName,
        /// Why, in a line.
        why: String,
        /// Where its log is.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// Somebody else listens where our parts must. Nothing was started.
    #[error(
        "these addresses are in use; stop who holds them, or choose other prefixes (--east, --west, --outside):\n{0}"
    )]
    AddressesInUse(String),
    /// A program is missing. Nothing was started.
    #[error("{what} is missing; {remedy}")]
    Missing {
        /// What was looked for, with where.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The run directory was set up with other settings, which its data remembers.
    #[error("{} was set up with {stored}; asked for now: {asked}. Wipe it first (`backbone down --wipe`), or use another --run-dir", run_dir.display())]
    OtherSettings {
        /// The run directory.
        run_dir: PathBuf,
        /// What it was set up with.
        stored: String,
        /// What was asked for.
        asked: String,
    },
    /// Nothing was brought up in this run directory.
    #[error("nothing was brought up in {}; `make up` does", .0.display())]
    NothingHere(PathBuf),
    /// Another command works on the run directory.
    #[error("another backbone command is at work on {}", .0.display())]
    Busy(PathBuf),
    /// There is no such part.
    #[error("there is no part {asked}; there are {known}")]
    UnknownPart {
        /// What was asked for.
        asked: PartName,
        /// What there is.
        known: String,
    },
    /// A file or process operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// `state.json` is not what this version writes.
    #[error("{} cannot be read; `backbone down` of the version that wrote it stops the system", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// Neither `HOME` nor a cache folder is set.
    #[error("set HOME or BACKBONE_CACHE_DIR: the place of the build cache is not known")]
    NoCache,
    /// Root asked for it, and the account that the servers should run as does not exist.
    #[error("there is no account `postgres` to run the servers as; install PostgreSQL from the system's packages")]
    NoAccount,
    /// Ctrl-C or SIGTERM. What this run started was stopped again.
    #[error("interrupted; what was started has been stopped again")]
    Interrupted,
    /// The seed catalogue is not well formed.
    #[error("the seed catalogue is not valid: {0}")]
    Catalogue(String),
}

impl PlatformError {
    /// For `map_err`: what was being done, and to what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

fn tail_block(tail: &str) -> String {
    if tail.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = tail.lines().map(|line| format!("\n  | {line}")).collect();
    format!("\n  its last lines:{}", lines.concat())
}
