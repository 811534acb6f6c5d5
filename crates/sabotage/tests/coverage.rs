//! Reads the sources: every place where something becomes durable or leaves has a crash point before and after it, and
//! `docs/crash-points.md` lists them all. `UPDATE=1 cargo test -p sabotage --test coverage` writes the list anew.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where the code that matters is.
const SOURCES: [&str; 5] =
    ["crates/outbox/src", "services/cart/src", "services/inventory/src", "services/order/src", "services/payment/src"];
/// Above a statement that needs no point; what follows says why.
const EXEMPT: &str = "// no crash point: ";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the sources, as the path from the workspace on and its text.
struct Source {
    path: String,
    text: String,
}

/// Every file of the product's code: tests among it are left out.
fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = SOURCES.iter().map(|folder| workspace().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\n").next().unwrap_or_default().to_owned();
                let path = path.strip_prefix(workspace()).unwrap().to_string_lossy().into_owned();
                files.push(Source { path, text });
            }
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

/// The functions of a formatted file, by the name, each from its first line to the brace that closes it.
fn functions(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let indent = &line[..line.len() - line.trim_start().len()];
        let head = line.trim_start();
        let head = ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "]
            .iter()
            .fold(head, |head, word| head.strip_prefix(word).unwrap_or(head));
        if let Some(rest) = head.strip_prefix("fn ") {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            let close = format!("\n{indent}}}\n");
            let end = text[offset..].find(&close).map_or(text.len(), |end| offset + end + close.len());
            found.push((name, &text[offset..end]));
        }
        offset += line.len();
    }
    found
}

/// Where in a function something becomes durable or leaves, and what.
fn effects(path: &str, body: &str) -> Vec<(usize, &'static str)> {
    let mut effects = Vec::new();
    let mut all = |pattern: &str, what| effects.extend(body.match_indices(pattern).map(|(at, _)| (at, what)));
    all(".commit().await", "a commit");
    if path.starts_with("crates/outbox") {
        all("publisher.publish(", "a publication");
    }
    if path.starts_with("services/payment/src/driver") {
        for call in ["authorise", "capture", "void", "refund"] {
            all(&format!(" provider.{call}("), "a call of the provider");
        }
    }
    for (at, _) in body.match_indices("sqlx::query") {
        let statement = &body[at..];
        let end = [".execute(", ".fetch_one(", ".fetch_all(", ".fetch_optional("]
            .iter()
            .filter_map(|run| statement.find(run))
            .min();
        let Some(end) = end else { continue };
        let executor = statement[end..].split(')').next().unwrap_or_default();
        // A lock is no write.
        let words = statement[..end].to_lowercase().replace("for no key update", "");
        let writes = words.contains("insert into ") || words.contains("update ") || words.contains("delete from ");
        if writes && executor.contains("pool") && !words.contains("for update of") | words.contains("insert into ") {
            effects.push((at, "a write of its own"));
        }
    }
    effects
}

/// What is wrong with a function: an effect without a point on either side of it.
fn faults(path: &str, name: &str, body: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, what) in effects(path, body) {
        let (above, below) = body.split_at(at);
        let exempt = above.rsplit("\n\n").next().is_some_and(|near| near.contains(EXEMPT))
            || above.lines().rev().take(4).any(|line| line.trim_start().starts_with(EXEMPT));
        if exempt {
            continue;
        }
        let has = |part: &str, side: &str| {
            part.match_indices("crash_point(\"").any(|(at, _)| {
                let rest = &part[at + "crash_point(\"".len()..];
                rest.split('"').next().is_some_and(|point| point.contains(side))
            })
        };
        if !has(above, ".before-") {
            faults.push(format!("{path}: {name} has {what} without a crash point before it"));
        }
        if !has(below, ".after-") {
            faults.push(format!("{path}: {name} has {what} without a crash point after it"));
        }
    }
    faults
}

/// Every point by its name, with the files that have it.
fn points(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let mut points = BTreeMap::<String, Vec<String>>::new();
    for Source { path, text } in sources {
        for (at, _) in text.match_indices("crash_point(\"") {
            let name = text[at + "crash_point(\"".len()..].split('"').next().unwrap_or_default();
            points.entry(name.to_owned()).or_default().push(path.clone());
        }
    }
    points
}

#[test]
fn nothing_becomes_durable_or_leaves_without_a_crash_point_on_either_side() {
    let mut missing = Vec::new();
    for Source { path, text } in sources() {
        for (name, body) in functions(&text) {
            missing.extend(faults(&path, name, body));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn a_new_commit_publication_or_call_is_noticed() {
    let commit = "async fn place() {\n    begin();\n    tx.commit().await?;\n}\n";
    let write = "async fn claim() {\n    sqlx::query!(\"update a set b = 1\").execute(&self.pool).await?;\n}\n";
    let publish = "async fn send() {\n    publisher.publish(&records).await;\n}\n";
    let call = "async fn turn() {\n    let done = provider.capture(order).await;\n}\n";
    for (path, body) in [
        ("services/order/src/store/new.rs", commit),
        ("services/order/src/store/new.rs", write),
        ("crates/outbox/src/relay/new.rs", publish),
        ("services/payment/src/driver/new.rs", call),
    ] {
        let (name, body) = functions(body)[0];
        assert_eq!(faults(path, name, body).len(), 2, "{body}");
        let point = |side: &str| format!("    sabotage::crash_point(\"a.b.{side}-commit\").await;\n");
        let lines: Vec<&str> = body.split_inclusive('\n').collect();
        let inner = lines[1..lines.len() - 1].concat();
        let pointed = format!("{}{}{inner}{}}}\n", lines[0], point("before"), point("after"));
        assert!(faults(path, name, &pointed).is_empty(), "{pointed}");
        let exempted = format!("{}    {EXEMPT}nobody minds.\n{inner}}}\n", lines[0]);
        assert!(faults(path, name, &exempted).is_empty(), "{exempted}");
    }
    for reading in ["select a from b", "select a from b for no key update skip locked"] {
        let read = format!("async fn read() {{\n    sqlx::query!(\"{reading}\").fetch_one(&self.pool).await?;\n}}\n");
        assert!(faults("services/order/src/store/new.rs", "read", &read).is_empty(), "{reading}");
    }
}

#[test]
fn every_point_has_a_name_of_its_own_in_the_form_of_all() {
    for (name, files) in points(&sources()) {
        let parts: Vec<&str> = name.split('.').collect();
        let plain = |part: &&str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let [_, _, side] = parts.as_slice() else { panic!("{name} has not three parts") };
        assert!(parts.iter().all(plain), "{name}");
        let what = side.strip_prefix("before-").or_else(|| side.strip_prefix("after-"));
        assert!(what.is_some_and(|what| ["commit", "publish", "ack", "call"].contains(&what)), "{name}");
        assert_eq!(files.len(), 1, "{name} stands in {files:?}");
    }
}

#[test]
fn the_list_of_points_is_up_to_date() {
    let mut list = "# Crash points\n\n\
        Where a drill can kill a service or hold it up; see `crates/sabotage`. Written by its tests (`UPDATE=1 cargo test -p sabotage \
        --test coverage`), which fail when a commit, a publication or a call of the provider has no point on either side.\n"
        .to_owned();
    let mut owner = String::new();
    for (name, files) in points(&sources()) {
        let this = name.split('.').next().unwrap_or_default();
        if this != owner {
            owner = this.to_owned();
            write!(list, "\n## {owner}\n\n| point | in |\n| --- | --- |\n").unwrap();
        }
        writeln!(list, "| `{name}` | `{}` |", files.join("`, `")).unwrap();
    }
    let file = workspace().join("docs/crash-points.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &list).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(written, list, "docs/crash-points.md is out of date: UPDATE=1 cargo test -p sabotage --test coverage");
}
