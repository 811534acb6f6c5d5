//! What runs, where, how it is, what it costs.

use chrono::{DateTime, TimeDelta, Utc};
use comfy_table::{CellAlignment, Table, presets};
use futures::future::join_all;

use super::error::PlatformError;
use super::layout::Layout;
use super::part::{Part, PartName};
use super::plan::{self, Scope};
use super::state::State;
use super::watch::Watch;
use super::{procfs, ready};

/// A part, as it is now.
#[derive(Clone, Debug)]
pub struct PartStatus {
    /// Which.
    pub name: PartName,
    /// The address to use it at.
    pub address: String,
    /// Its process, when it runs.
    pub pid: Option<i32>,
    /// Why it does not do its work; `None` when it does.
    pub trouble: Option<String>,
    /// Memory of the process and its children (proportional set size), in bytes.
    pub memory_bytes: Option<u64>,
    /// Since when it runs.
    pub started_at: Option<DateTime<Utc>>,
}

/// The whole system, as it is now.
///
/// # Errors
/// Nothing was brought up in this run directory.
pub async fn status(layout: &Layout) -> Result<Vec<PartStatus>, PlatformError> {
    Ok(of(layout, &plan::parts(layout, Scope::System)?).await)
}

/// These parts, as they are now; asked all at once.
pub(super) async fn of(layout: &Layout, parts: &[Part]) -> Vec<PartStatus> {
    // Without a readable record nothing is known to run, which is what the table then says.
    let state = State::load(&layout.run_dir).ok().flatten();
    join_all(parts.iter().map(|part| one(part, state.as_ref()))).await
}

async fn one(part: &Part, state: Option<&State>) -> PartStatus {
    let started = state.and_then(|state| state.running(&part.name));
    let trouble = match started {
        Some(started) => match ready::ask(&part.probe, started.identity.pid).await {
            Ok(()) => ready::conditions(&part.probe).await.map(|what| format!("ready, but {what}")),
            Err(why) => Some(why),
        },
        None if state.is_some_and(|state| state.ended_by_order.contains(&part.name)) => {
            Some("does not run (ended by order)".to_owned())
        }
        None => Some("does not run".to_owned()),
    };
    PartStatus {
        name: part.name.clone(),
        address: part.listens.first().map(ToString::to_string).unwrap_or_default(),
        pid: started.map(|started| started.identity.pid),
        trouble,
        memory_bytes: started.and_then(|started| procfs::memory_bytes(started.identity.pid)),
        started_at: started.map(|started| started.started_at),
    }
}

/// Who restarts what ends, and what it had to restart, in a line.
pub fn watched(layout: &Layout) -> String {
    let state = State::load(&layout.run_dir).ok().flatten();
    Watch::summary(state.and_then(|state| state.watch).as_ref())
}

/// The table for people, with a sum below.
pub fn table(parts: &[PartStatus], now: DateTime<Utc>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["PART", "ADDRESS", "PID", "HEALTH", "MEMORY", "UP"]);
    for part in parts {
        table.add_row([
            part.name.to_string(),
            part.address.clone(),
            part.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            part.trouble.clone().unwrap_or_else(|| "ready".to_owned()),
            part.memory_bytes.map(mebibytes).unwrap_or_default(),
            part.started_at.map(|at| age(now - at)).unwrap_or_default(),
        ]);
    }
    for column in [2, 4, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let running = parts.iter().filter(|part| part.pid.is_some()).count();
    let total: u64 = parts.iter().filter_map(|part| part.memory_bytes).sum();
    format!(
        "{table}\n\n {running} of {} run, {} resident in all (shared pages counted once)",
        parts.len(),
        mebibytes(total)
    )
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

fn age(age: TimeDelta) -> String {
    match (age.num_days(), age.num_hours(), age.num_minutes()) {
        (0, 0, 0) => format!("{} s", age.num_seconds()),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_is_wrong_and_sums_the_memory() {
        let now = Utc::now();
        let part = |name: &str, pid, trouble: Option<&str>| PartStatus {
            name: name.parse().unwrap(),
            address: "127.1.0.11:50051".into(),
            pid,
            trouble: trouble.map(Into::into),
            memory_bytes: pid.map(|_| 20 * 1024 * 1024),
            started_at: pid.map(|_| now - TimeDelta::minutes(75)),
        };
        let text = table(&[part("east/cart", Some(7), None), part("west/cart", None, Some("does not run"))], now);
        for expected in ["ready", "1 h 15 min", "does not run", "1 of 2 run, 20 MiB"] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
    }
}
