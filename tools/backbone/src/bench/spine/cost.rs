//! Processor time and memory of the processes that take part.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::platform::procfs;

/// For what the servers do when nothing happens.
const IDLE: Duration = Duration::from_secs(5);

/// What one of them cost.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Whose.
    pub name: String,
    /// Processor time, beyond what the same time costs when nothing happens.
    pub processor_seconds: f64,
    /// At the end.
    pub memory_bytes: u64,
}

/// Watches processes, each with all that it started.
pub struct Meter {
    watched: Vec<Watched>,
    started_at: Instant,
}

struct Watched {
    name: String,
    pid: i32,
    /// Seconds of processor time in a second in which nothing happens.
    idle: f64,
    /// At the start.
    before: f64,
}

impl Meter {
    /// Looks at what they cost while nothing happens, which takes five seconds.
    pub async fn watch(processes: &[(&str, i32)]) -> Self {
        let now = |pid| procfs::processor_seconds(pid).unwrap_or_default();
        let watched = processes.iter().map(|(name, pid)| Watched {
            name: (*name).to_owned(),
            pid: *pid,
            idle: 0.0,
            before: now(*pid),
        });
        let mut meter = Self { watched: watched.collect(), started_at: Instant::now() };
        tokio::time::sleep(IDLE).await;
        let lasted = meter.started_at.elapsed().as_secs_f64();
        for process in &mut meter.watched {
            process.idle = (now(process.pid) - process.before) / lasted;
        }
        meter
    }

    /// From here on.
    pub fn start(&mut self) {
        self.started_at = Instant::now();
        for process in &mut self.watched {
            process.before = procfs::processor_seconds(process.pid).unwrap_or_default();
        }
    }

    /// What each has cost since the start.
    pub fn stop(&self) -> Vec<Cost> {
        let lasted = self.started_at.elapsed().as_secs_f64();
        let cost = |process: &Watched| {
            let seconds = procfs::processor_seconds(process.pid)? - process.before - process.idle * lasted;
            let memory_bytes = procfs::memory_bytes(process.pid)?;
            Some(Cost { name: process.name.clone(), processor_seconds: seconds.max(0.0), memory_bytes })
        };
        self.watched.iter().filter_map(cost).collect()
    }
}
