//! A bound on the logs of parts that run: beyond it a log is copied aside and emptied in place. Its writers append, so they go on at its new
//! beginning; lines written during the copy may be lost.

use std::fs;
use std::path::Path;

use super::layout::Layout;

/// A log above this size is put aside. Our own services put theirs aside at 32 MiB already (crates/chassis, telemetry); this is for servers.
const BYTES_MAX: u64 = 48 * 1024 * 1024;

/// Puts aside every log that has outgrown its bound. What cannot be put aside is emptied all the same: a full disk is the usual reason.
pub fn keep(layout: &Layout) {
    let zones = fs::read_dir(layout.run_dir.join("log")).into_iter().flatten().flatten();
    let logs = zones.filter_map(|zone| fs::read_dir(zone.path()).ok()).flatten().flatten();
    for log in logs.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|kind| kind == "log")) {
        keep_one(&log, BYTES_MAX);
    }
}

fn keep_one(log: &Path, bytes_max: u64) {
    if !fs::metadata(log).is_ok_and(|log| log.len() > bytes_max) {
        return;
    }
    let _ = fs::copy(log, log.with_extension("log.1"));
    if let Ok(file) = fs::OpenOptions::new().write(true).open(log) {
        let _ = file.set_len(0);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_log_that_has_outgrown_its_bound_is_put_aside_while_its_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("kafka.log");
        let mut writer = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        writer.write_all(&[b'a'; 100]).unwrap();
        keep_one(&log, 100);
        assert_eq!(fs::metadata(&log).unwrap().len(), 100, "at its bound it stays");
        writer.write_all(b"b").unwrap();
        keep_one(&log, 100);
        writer.write_all(b"after").unwrap();
        assert_eq!(fs::read(&log).unwrap(), b"after");
        assert_eq!(fs::metadata(log.with_extension("log.1")).unwrap().len(), 101);
    }
}
