//! Processes that outlive the command that started them: start, recognise, signal, wait.
//!
//! A pid alone does not name a process: it may have ended and the number may be somebody else's by now. We remember when
//! it started, and look again before each signal. Never kill a stranger.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Part, STOP_LIMIT, StopSignal};
use super::procfs;

/// A log above this size is put aside (one predecessor is kept) when its part starts.
const LOG_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// How long an ended process may stay in the process table; the parent of ours is init, which may take a second to notice.
const REAP_LIMIT: Duration = Duration::from_secs(3);
/// How often we look whether a process has ended.
const POLL: Duration = Duration::from_millis(20);

/// Names one process, also after it has ended and its number was given away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The number.
    pub pid: i32,
    started_ticks: u64,
    boot_id: String,
}

impl Identity {
    /// The process that has this number now.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = procfs::stat(pid).filter(|stat| !stat.zombie)?;
        Some(Self { pid, started_ticks: stat.started_ticks, boot_id: procfs::boot_id() })
    }

    /// Whether that very process still runs.
    pub fn is_alive(&self) -> bool {
        self.entry().is_some_and(|stat| !stat.zombie)
    }

    /// Whether that very process is stopped, as by SIGSTOP.
    pub fn is_stopped(&self) -> bool {
        self.entry().is_some_and(|stat| stat.stopped)
    }

    /// Continues a process that is stopped.
    ///
    /// # Errors
    /// It belongs to another account.
    pub fn resume(&self) -> Result<(), PlatformError> {
        self.signal(Signal::SIGCONT)
    }

    /// That very process' entry in the process table, which stays for a while after it has ended.
    fn entry(&self) -> Option<procfs::Stat> {
        let same = |stat: &procfs::Stat| stat.started_ticks == self.started_ticks;
        procfs::stat(self.pid).filter(same).filter(|_| procfs::boot_id() == self.boot_id)
    }

    /// Waits until an ended process has left the process table, for a while at most. Postgres refuses to start while the number
    /// in its lock file still names something.
    pub async fn await_reaped(&self) {
        let deadline = Instant::now() + REAP_LIMIT;
        while self.entry().is_some() && Instant::now() < deadline {
            sleep(POLL).await;
        }
    }

    /// Sends a signal to that very process; nothing happens when it has ended.
    fn signal(&self, signal: Signal) -> Result<(), PlatformError> {
        if !self.is_alive() {
            return Ok(());
        }
        match kill(Pid::from_raw(self.pid), signal) {
            // It ended in between.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(self.cannot("signal", error.into())),
        }
    }

    /// Ends the process at once with all that it started, and waits until they are gone. (Postgres' children notice the death
    /// of their parent only after a while, and would keep its shared memory and so the next start waiting.)
    ///
    /// # Errors
    /// It belongs to another account, or the kernel does not let go of it.
    pub async fn kill(&self) -> Result<(), PlatformError> {
        if !self.is_alive() {
            return Ok(());
        }
        let mut family: Vec<Self> = procfs::family(self.pid).into_iter().skip(1).filter_map(Self::of).collect();
        family.insert(0, self.clone());
        for member in &family {
            member.signal(Signal::SIGKILL)?;
        }
        let deadline = Instant::now() + STOP_LIMIT;
        while let Some(left) = family.iter().find(|member| member.is_alive()) {
            if Instant::now() >= deadline {
                return Err(left.cannot("kill", ErrorKind::TimedOut.into()));
            }
            sleep(POLL).await;
        }
        Ok(())
    }

    /// Asks the process to end, waits, and kills it when it does not. Returns whether it had to be killed.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub async fn stop(&self, how: StopSignal) -> Result<bool, PlatformError> {
        self.signal(match how {
            StopSignal::Terminate => Signal::SIGTERM,
            StopSignal::Interrupt => Signal::SIGINT,
        })?;
        let deadline = Instant::now() + STOP_LIMIT;
        while self.is_alive() {
            if Instant::now() >= deadline {
                self.kill().await?;
                return Ok(true);
            }
            sleep(POLL).await;
        }
        Ok(false)
    }

    fn cannot(&self, action: &'static str, source: std::io::Error) -> PlatformError {
        PlatformError::Io { action, path: format!("/proc/{}", self.pid).into(), source }
    }
}

/// Starts a part in a session of its own, with no input and its output in its log.
///
/// # Errors
/// The log cannot be opened, or `setsid` is not there. That the program itself does not start shows in the log, and in that
/// the process ends.
pub fn spawn(part: &Part, layout: &Layout, account: &Account) -> Result<(Child, Identity), PlatformError> {
    let path = layout.log(&part.name);
    let log = open_log(&path)?;
    account.own(&path)?;
    let second = log.try_clone().map_err(PlatformError::io("open", &path))?;
    let mut command = account.command(part.program.as_os_str());
    command.args(&part.arguments).stdin(Stdio::null()).stdout(log).stderr(second).current_dir(&layout.run_dir);
    command.envs(part.environment.iter().map(|(name, value)| (name, value)));
    let failed = || PlatformError::io("start", &part.program);
    let child = command.spawn().map_err(failed())?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let identity = pid.and_then(Identity::of).ok_or_else(|| failed()(std::io::Error::other("it ended at once")))?;
    Ok((child, identity))
}

fn open_log(path: &Path) -> Result<fs::File, PlatformError> {
    let failed = || PlatformError::io("open", path);
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1")).map_err(failed())?;
    }
    fs::OpenOptions::new().create(true).append(true).open(path).map_err(failed())
}

/// The last lines of a log, at most `lines` and from the last 16 KiB. Stack frames of Java are left out: the line above them
/// says what happened.
pub fn tail(path: &Path, lines: usize) -> String {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(16 * 1024)))?;
        let mut bytes = Vec::new();
        file.take(16 * 1024).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().filter(|line| !line.starts_with("\tat ")).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> (Child, Identity) {
        let child = tokio::process::Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
        let identity = Identity::of(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        (child, identity)
    }

    #[tokio::test]
    async fn a_stranger_with_the_same_number_is_left_alone() {
        let (_child, real) = sleeper();
        for stranger in [
            Identity { started_ticks: real.started_ticks + 1, ..real.clone() },
            Identity { boot_id: "another boot".into(), ..real.clone() },
        ] {
            assert!(!stranger.is_alive());
            stranger.kill().await.unwrap();
            assert!(!stranger.stop(StopSignal::Terminate).await.unwrap());
            assert!(real.is_alive());
        }
    }

    #[tokio::test]
    async fn a_process_that_ends_when_asked_is_not_killed() {
        let (_child, identity) = sleeper();
        assert!(!identity.stop(StopSignal::Terminate).await.unwrap());
        assert!(!identity.is_alive());
    }

    #[tokio::test]
    async fn killing_takes_the_children_too() {
        let mut shell = tokio::process::Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let parent = Identity::of(i32::try_from(shell.id().unwrap()).unwrap()).unwrap();
        let child = loop {
            if let Some(pid) = procfs::family(parent.pid).get(1) {
                break Identity::of(*pid).unwrap();
            }
            sleep(POLL).await;
        };
        parent.kill().await.unwrap();
        assert!(!child.is_alive());
        shell.wait().await.unwrap();
    }
}
