//! Where and when something was measured: a figure without it says little.

use std::fmt;
use std::fs;
use std::path::Path;

use chrono::{NaiveDate, Utc};
use ids::Region;

use crate::load::commits;
use crate::platform::Layout;

/// What is not known is said so, and stops no benchmark.
const UNKNOWN: &str = "unknown";

/// The machine, and the day.
#[derive(Clone, Debug)]
pub struct Host {
    /// The day, in UTC.
    pub date: NaiveDate,
    /// Cores that this process may use.
    pub cores: usize,
    /// Such as `Intel(R) Xeon(R) Processor`.
    pub processor: String,
    /// In bytes.
    pub memory_bytes: Option<u64>,
    /// Such as `Debian GNU/Linux 12 (bookworm)`.
    pub system: String,
    /// Version of the kernel.
    pub kernel: String,
}

/// The machine, and the servers on it.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The machine itself.
    pub host: Host,
    /// Version and whether it waits for the disk, such as `15.14 with fsync on`.
    pub postgres: String,
    /// Version.
    pub kafka: String,
    /// In each region.
    pub brokers: u8,
}

impl Host {
    /// Looks around.
    pub fn look() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        Self {
            date: Utc::now().date_naive(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: after(&cpuinfo, "model name", ':').unwrap_or(std::env::consts::ARCH).to_owned(),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            system: after(&read("/etc/os-release"), "PRETTY_NAME", '=').unwrap_or(UNKNOWN).trim_matches('"').to_owned(),
            kernel: kernel(&read("/proc/sys/kernel/osrelease")).to_owned(),
        }
    }

    /// The line that a section begins with when no server took part in what was measured.
    pub fn measured_with(&self, command: &str) -> String {
        format!("Measured on {} with `{command}`: {self}.", self.date)
    }
}

impl Machine {
    /// Looks around.
    pub async fn look(layout: &Layout) -> Self {
        Self {
            host: Host::look(),
            postgres: postgres(&layout.run_dir).await.unwrap_or_else(|_| UNKNOWN.to_owned()),
            kafka: kafka(&layout.kafka_dir).unwrap_or_else(|| UNKNOWN.to_owned()),
            brokers: layout.settings.brokers,
        }
    }

    /// The line that each section begins with.
    pub fn measured_with(&self, command: &str) -> String {
        format!("Measured on {} with `{command}`: {self}.", self.host.date)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, system, kernel, .. } = self;
        let gibibytes = |bytes| format!("{:.0} GiB", bytes as f64 / f64::from(1 << 30));
        let memory = self.memory_bytes.map_or_else(|| UNKNOWN.to_owned(), gibibytes);
        write!(f, "{cores} cores ({processor}), {memory} of memory, {system}, Linux {kernel}")
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, postgres, kafka, brokers } = self;
        write!(f, "{host}, PostgreSQL {postgres}, Kafka {kafka} with {brokers} broker(s) a region")
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The value of the first line that begins with `name`.
fn after<'a>(text: &'a str, name: &str, separator: char) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(separator)?.1.trim())
}

fn memory_bytes(meminfo: &str) -> Option<u64> {
    let kibibytes: u64 = after(meminfo, "MemTotal", ':')?.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Without what a distribution adds, such as `6.1.0` of `6.1.0-18-amd64`.
fn kernel(osrelease: &str) -> &str {
    osrelease.trim().split('-').next().unwrap_or(UNKNOWN)
}

async fn postgres(run_dir: &Path) -> anyhow::Result<String> {
    let mut connection = commits::connect(&commits::admin_url(run_dir, Region::East)?).await?;
    let question = "select split_part(current_setting('server_version'), ' ', 1), current_setting('fsync')";
    let (version, fsync): (String, String) = sqlx::query_as(question).fetch_one(&mut connection).await?;
    Ok(format!("{version} with fsync {fsync}"))
}

/// From the name of the broker's jar, such as `kafka_2.13-4.3.1.jar`.
fn kafka(folder: &Path) -> Option<String> {
    let names = fs::read_dir(folder).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| kafka_version(&name).map(str::to_owned)).next()
}

fn kafka_version(jar: &str) -> Option<&str> {
    Some(jar.strip_prefix("kafka_")?.strip_suffix(".jar")?.split_once('-')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_own_words_are_understood() {
        assert_eq!(memory_bytes("MemTotal:       24689764 kB\nMemFree: 1 kB\n"), Some(24_689_764 * 1024));
        assert_eq!(after("processor\t: 0\nmodel name\t: A: B\n", "model name", ':'), Some("A: B"));
        assert_eq!(after("NAME=\"x\"\n", "PRETTY_NAME", '='), None);
        assert_eq!(kernel("6.1.0-18-amd64\n"), "6.1.0");
        assert_eq!(kafka_version("kafka_2.13-4.3.1.jar"), Some("4.3.1"));
        assert_eq!(kafka_version("kafka-clients-4.3.1.jar"), None);
    }
}
