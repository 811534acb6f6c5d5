//! Reads `/proc`: is a process still the one we started, what does it cost, who holds an address.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

/// What `/proc/<pid>/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Ended, but its parent has not asked yet.
    pub zombie: bool,
    /// Stopped, as by SIGSTOP: it does nothing until somebody continues it.
    pub stopped: bool,
    /// The process that started it.
    pub parent: i32,
    /// When it started, in clock ticks since boot: with the pid, names one process for as long as the machine is up.
    pub started_ticks: u64,
}

/// The process with this id now, if there is one.
pub fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in field 2 may itself hold spaces and parentheses, so fields are counted from the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // Field 22 of proc_pid_stat(5); the iterator stands before field 5.
    let started_ticks = fields.nth(17)?.parse().ok()?;
    Some(Stat { zombie: state == "Z" || state == "X", stopped: state == "T", parent, started_ticks })
}

/// Names this boot of the machine: after a restart the same pid and start time may be somebody else.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Every process there is.
pub fn pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The process and all it started, itself first.
pub fn family(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = pids().into_iter().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        let children = parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid);
        family.extend(children);
        next += 1;
    }
    family
}

/// Memory of a process and all it started, in bytes: the proportional set size, which counts a page that several share once
/// over all of them, so that a sum over processes is the truth. `None` when the kernel does not let us look.
pub fn memory_bytes(root: i32) -> Option<u64> {
    let one = |pid: i32| proportional_bytes(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?);
    // A child that ended since it was listed costs nothing.
    let children: u64 = family(root).into_iter().skip(1).filter_map(one).sum();
    Some(one(root)? + children)
}

/// Processor time of a process and all it started, in seconds: user and system, those included that it started and that have
/// ended. `None` when there is no such process.
pub fn processor_seconds(root: i32) -> Option<f64> {
    /// Of /proc: `USER_HZ`, 100 on every architecture that we run on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let ticks = |pid: i32| processor_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    let (own, ended) = ticks(root)?;
    let children: u64 = family(root).into_iter().skip(1).filter_map(ticks).map(|(own, ended)| own + ended).sum();
    Some((own + ended + children) as f64 / TICKS_PER_SECOND)
}

/// Its own ticks, and those of its children that have ended: fields 14 and 15, 16 and 17 of proc_pid_stat(5).
fn processor_ticks(text: &str) -> Option<(u64, u64)> {
    let mut fields =
        text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().skip(11).map(|field| field.parse().ok());
    let mut next = || -> Option<u64> { fields.next()? };
    Some((next()? + next()?, next()? + next()?))
}

fn proportional_bytes(smaps_rollup: &str) -> Option<u64> {
    let line = smaps_rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// The command of the process that listens on an address, as far as we may look: `pid 4711 (postgres)`.
pub fn listener(address: SocketAddrV4) -> Option<String> {
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let inode = listening_inode(&table, address)?;
    let socket = format!("socket:[{inode}]");
    let holds = |pid: &i32| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(&socket)))
    };
    let pid = pids().into_iter().find(holds)?;
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("pid {pid} ({})", command.trim()))
}

/// Finds who listens (state `0A`) on the address or on its port at every address.
fn listening_inode(table: &str, address: SocketAddrV4) -> Option<&str> {
    let row = |ip: Ipv4Addr| format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let wanted = [row(*address.ip()), row(Ipv4Addr::UNSPECIFIED)];
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, _remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        if state == "0A" && wanted.iter().any(|row| row == local) { fields.nth(5) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9999 1000 2000";
        assert_eq!(parse_stat(text), Some(Stat { zombie: false, stopped: false, parent: 7, started_ticks: 9999 }));
        assert_eq!(parse_stat("42 (a) Z"), None);
    }

    #[test]
    fn processor_time_counts_the_children_that_have_ended() {
        let text = "42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 50 60 700 800 20 0 1 0 9999 1000 2000";
        assert_eq!(processor_ticks(text), Some((110, 1500)));
        assert!(processor_seconds(i32::try_from(std::process::id()).unwrap()).is_some());
    }

    #[test]
    fn our_own_process_is_found_with_its_memory() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(!stat(own).unwrap().zombie);
        assert_eq!(family(own)[0], own);
        assert!(memory_bytes(own).is_none_or(|bytes| bytes > 100_000));
    }

    #[test]
    fn the_holder_of_an_address_is_named() {
        let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(address) = held.local_addr().unwrap() else { unreachable!("bound to IPv4") };
        assert!(listener(address).unwrap().contains(&format!("pid {}", std::process::id())));
    }

    #[test]
    fn proportional_memory_is_read_in_kibibytes() {
        let text = "55f0-7ffe ---p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:  1234 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(proportional_bytes(text), Some(1234 * 1024));
    }
}
