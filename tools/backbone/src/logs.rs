//! Shows logs with the system's own `tail`.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context as _;

use crate::platform::{Layout, PartName, Zone};

/// Lines shown of each log.
const LINES: &str = "100";

/// Shows the logs that `name` means: `east/cart`, `cart` (in every zone) or `None` for all.
///
/// # Errors
/// No such log, or no `tail`.
pub fn show(layout: &Layout, name: Option<&str>, follow: bool) -> anyhow::Result<ExitCode> {
    let logs = select(layout, name)?;
    anyhow::ensure!(
        !logs.is_empty(),
        "no log {} in {}",
        name.unwrap_or_default(),
        layout.run_dir.join("log").display()
    );
    let mut tail = Command::new("tail");
    tail.args(["-n", LINES]);
    if follow {
        // By name: a log that is put aside when its part starts again is followed in its new file.
        tail.arg("-F");
    }
    let status = tail.args(logs).status().context("cannot run tail")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn select(layout: &Layout, name: Option<&str>) -> anyhow::Result<Vec<PathBuf>> {
    if let Some(part) = name.filter(|name| name.contains('/')) {
        return Ok(vec![layout.log(&part.parse::<PartName>()?)]);
    }
    let zones = [Zone::Region(ids::Region::East), Zone::Region(ids::Region::West), Zone::Outside];
    let folders = zones.map(|zone| layout.run_dir.join("log").join(zone.name()));
    let files = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut logs: Vec<PathBuf> = files
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .filter(|path| name.is_none_or(|name| path.file_stem().is_some_and(|stem| stem == name)))
        .collect();
    logs.sort();
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Settings;

    #[test]
    fn a_bare_name_means_the_part_in_both_regions() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path(), Settings::default()).unwrap();
        for part in ["east/cart", "west/cart", "east/order"] {
            let log = layout.log(&part.parse().unwrap());
            std::fs::create_dir_all(log.parent().unwrap()).unwrap();
            std::fs::write(log, "").unwrap();
        }
        assert_eq!(select(&layout, Some("cart")).unwrap().len(), 2);
        assert_eq!(select(&layout, Some("east/cart")).unwrap().len(), 1);
        assert_eq!(select(&layout, None).unwrap().len(), 3);
        assert!(select(&layout, Some("../x/y")).is_err());
    }
}
