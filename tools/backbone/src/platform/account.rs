//! Which account the processes run as, and who owns their files.
//!
//! An ordinary user runs everything as that user. Root does not run servers as root (Postgres would refuse): they run as the
//! owner of the run directory's data, which is `postgres`, the account that the Postgres package made, unless a user set the
//! directory up first.
//!
//! A checkout below a folder that only root may enter, such as its home, could not be reached by that account. Only then the
//! processes are given one capability, `CAP_DAC_READ_SEARCH`: to pass through folders and to read, not to write. `setpriv`
//! gives it, because doing so by hand would take unsafe code between fork and exec.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::{User, geteuid};
use tokio::process::Command;

use super::error::PlatformError;
use super::layout::Layout;

/// The account the processes run as.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Set when we are root and the processes are not.
    other: Option<Other>,
}

#[derive(Clone, Copy, Debug)]
struct Other {
    uid: u32,
    gid: u32,
    /// Some folder on the way to a program or to the run directory is closed to the account.
    needs_search: bool,
}

impl Account {
    /// The account for this system; as root it looks at the run directory's owner and at the folders above.
    ///
    /// # Errors
    /// We are root and there is no `postgres` account.
    pub fn of(layout: &Layout) -> Result<Self, PlatformError> {
        if !geteuid().is_root() {
            return Ok(Self { other: None });
        }
        let owner = fs::metadata(layout.run_dir.join("data")).ok().map(|data| (data.uid(), data.gid()));
        let (uid, gid) = match owner {
            Some((uid, gid)) if uid != 0 => (uid, gid),
            _ => match User::from_name("postgres") {
                Ok(Some(user)) => (user.uid.as_raw(), user.gid.as_raw()),
                _ => return Err(PlatformError::NoAccount),
            },
        };
        let needs_search = [&layout.run_dir, &layout.bin_dir, &layout.kafka_dir]
            .iter()
            .any(|path| path.ancestors().any(|folder| !may_enter(folder, uid, gid)));
        Ok(Self { other: Some(Other { uid, gid, needs_search }) })
    }

    /// A command that runs `program` as this account, in a session of its own so that it outlives us and our terminal.
    ///
    /// `setsid` and `setpriv` replace themselves by what they start: the process keeps its id.
    pub fn command(&self, program: &OsStr) -> Command {
        let mut command = Command::new("setsid");
        if let Some(other) = self.other {
            let capabilities = if other.needs_search { "-all,+dac_read_search" } else { "-all" };
            command.arg("setpriv");
            if other.needs_search {
                // Without it access(2), which Java asks before it opens a file, would leave the capability out of account.
                command.args(["--securebits", "+no_setuid_fixup"]);
            }
            command.arg(format!("--reuid={}", other.uid)).arg(format!("--regid={}", other.gid));
            command.args(["--clear-groups", "--no-new-privs", "--inh-caps", capabilities]);
            command.args(["--ambient-caps", capabilities, "--"]);
        }
        command.arg(program);
        // A clean environment: what the caller happens to export must not configure a server or a service.
        command.env_clear().env("LANG", "C.UTF-8").envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    /// Makes a folder, and those above it that are missing, only for the account (mode 0700).
    pub fn make_dir(&self, path: &Path) -> Result<(), PlatformError> {
        fs::create_dir_all(path).map_err(PlatformError::io("make the folder", path))?;
        self.own(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(PlatformError::io("protect", path))
    }

    /// Writes a file that only the account can read (mode 0600), replacing it whole: a reader sees the old or the new.
    pub fn write(&self, path: &Path, content: &str) -> Result<(), PlatformError> {
        let new = path.with_extension("new");
        let failed = |action| PlatformError::io(action, path);
        // A leftover of a crash may be somebody else's or readable: made anew, never reused.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed("replace")(error)),
            _ => {}
        }
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(failed("write"))?;
        file.write_all(content.as_bytes()).map_err(failed("write"))?;
        file.sync_all().map_err(failed("write"))?;
        self.own(&new)?;
        fs::rename(&new, path).map_err(failed("write"))
    }

    /// Hands a file or folder over to the account.
    pub fn own(&self, path: &Path) -> Result<(), PlatformError> {
        let Some(other) = self.other else { return Ok(()) };
        std::os::unix::fs::chown(path, Some(other.uid), Some(other.gid)).map_err(PlatformError::io("hand over", path))
    }
}

/// Whether the account may pass through this folder. One that cannot be looked at is taken as closed.
fn may_enter(folder: &Path, uid: u32, gid: u32) -> bool {
    let Ok(metadata) = fs::metadata(folder) else {
        return !folder.exists();
    };
    let bit = match (metadata.uid() == uid, metadata.gid() == gid) {
        (true, _) => 0o100,
        (false, true) => 0o010,
        (false, false) => 0o001,
    };
    metadata.mode() & bit != 0
}
