//! Log lines of the services that belong to the order's traces, or name it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use chrono::{DateTime, Utc};
use ids::Region;
use serde_json::{Map, Value};

use crate::platform::{Layout, PartName, Zone};

/// Read of each log, from its end.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest line looked at; ours are a few hundred bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
const SERVICES: [&str; 5] = ["bff", "order", "cart", "inventory", "payment"];
/// What every line has beside its own fields.
const ENVELOPE: [&str; 8] = ["time", "level", "service", "region", "trace_id", "span_id", "target", "message"];

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub at: DateTime<Utc>,
    pub region: Region,
    pub service: &'static str,
    /// Level, message, fields.
    pub text: String,
}

/// The last `limit` lines with one of `words` in them, in the order of their time; and how many there are besides. A log that is not
/// there has no lines.
pub fn read(layout: &Layout, words: &[String], limit: usize) -> (Vec<LogLine>, usize) {
    let mut found = Vec::new();
    for region in Region::ALL {
        for service in SERVICES {
            let path = layout.log(&PartName::new(Zone::Region(region), service));
            // What was read before a failure is worth showing, and a log is no witness that anything depends on.
            let _ = lines(&path, |line| {
                if words.iter().any(|word| line.contains(word.as_str())) {
                    found.extend(parse(line, region, service));
                }
            });
        }
    }
    found.sort_by_key(|line| line.at);
    let more = found.len().saturating_sub(limit);
    found.drain(..more);
    (found, more)
}

/// Hands each whole line of the end of a file to `take`.
fn lines(path: &Path, mut take: impl FnMut(&str)) -> io::Result<()> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(BYTES_MAX);
    file.seek(SeekFrom::Start(start))?;
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if let Ok(text) = std::str::from_utf8(&line)
            && line.len() <= LINE_BYTES_MAX
        {
            take(text);
        }
        line.clear();
    }
    Ok(())
}

/// `None` for what is no line of a service, such as a panic's.
fn parse(line: &str, region: Region, service: &'static str) -> Option<LogLine> {
    let fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let said = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let at = said("time").parse().ok()?;
    let mut text = format!("{} {}", said("level"), said("message"));
    for (name, value) in fields.iter().filter(|(name, _)| !ENVELOPE.contains(&name.as_str())) {
        text.push_str(&match value {
            Value::String(value) => format!(" {name}={value}"),
            value => format!(" {name}={value}"),
        });
    }
    Some(LogLine { at, region, service, text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Settings;

    #[test]
    fn lines_of_the_trace_are_found_in_every_service_and_the_last_ones_kept() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path(), Settings::default()).unwrap();
        let line = |second: u8, trace: &str| {
            format!(
                r#"{{"time":"2026-01-01T00:00:0{second}Z","level":"WARN","service":"s","region":"east","trace_id":"{trace}","span_id":"1","target":"t","tries":2,"error":"away","message":"tried again"}}"#
            )
        };
        let logs =
            [("east/order", [line(3, "aa"), line(1, "bb")]), ("west/cart", [line(2, "aa"), "panicked aa".to_owned()])];
        for (part, lines) in logs {
            let path = layout.log(&part.parse().unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, lines.join("\n")).unwrap();
        }
        let (found, more) = read(&layout, &["aa".to_owned()], 10);
        let services: Vec<(&str, Region)> = found.iter().map(|line| (line.service, line.region)).collect();
        assert_eq!((services, more), (vec![("cart", Region::West), ("order", Region::East)], 0));
        assert_eq!(found[0].text, "WARN tried again error=away tries=2");
        let (found, more) = read(&layout, &["aa".to_owned()], 1);
        assert_eq!((found.len(), found[0].service, more), (1, "order", 1));
    }
}
