//! Standard output with a bound on its size, when it is a file: a log that outgrows it is copied aside (`<log>.1`) and emptied in place. Whoever
//! else appends to the file, such as the process that takes over, goes on at its new beginning. A pipe or a terminal has no size.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::sync::Mutex;
use std::sync::PoisonError;

use tracing_subscriber::fmt::MakeWriter;

/// Beyond this the log is put aside: some 100,000 lines, and twice as much on disk with the one before.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// The size is looked at after so many bytes of ours.
const LOOK_EVERY: u64 = 256 * 1024;

/// Where log lines go.
pub(super) struct BoundedOutput {
    /// Standard output itself, without its line buffer: one write a line.
    file: Mutex<Option<(File, u64)>>,
}

impl BoundedOutput {
    pub(super) fn stdout() -> Self {
        let file = io::stdout().as_fd().try_clone_to_owned().ok().map(|file| (File::from(file), 0));
        Self { file: Mutex::new(file) }
    }
}

impl<'a> MakeWriter<'a> for BoundedOutput {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &BoundedOutput {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((file, written)) = file.as_mut() else { return Ok(line.len()) };
        file.write_all(line)?;
        *written += line.len() as u64;
        if *written >= LOOK_EVERY {
            *written = 0;
            keep_within(file, BYTES_MAX)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Empties a file that has outgrown its bound, after a copy. One that cannot be copied, as on a full disk, is emptied all the same.
fn keep_within(file: &File, bytes_max: u64) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() <= bytes_max {
        return Ok(());
    }
    if let Ok(path) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        let mut aside = path.clone().into_os_string();
        aside.push(".1");
        let _ = fs::copy(&path, aside);
    }
    file.set_len(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_outgrows_its_bound_is_put_aside_and_every_writer_goes_on() {
        let folder = std::env::temp_dir().join(format!("bounded-output-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("cart.log");
        let open = || File::options().create(true).append(true).open(&path).unwrap();
        let (mut one, mut other) = (open(), open());
        one.write_all(&[b'a'; 64]).unwrap();
        keep_within(&one, 64).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 64, "at its bound it stays");
        other.write_all(b"b").unwrap();
        keep_within(&one, 64).unwrap();
        other.write_all(b"c").unwrap();
        one.write_all(b"d").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"cd");
        assert_eq!(fs::metadata(folder.join("cart.log.1")).unwrap().len(), 65);
        fs::remove_dir_all(&folder).unwrap();
    }
}
