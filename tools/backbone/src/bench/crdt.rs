//! The section about the cart's data type, measured by the benchmark program of `crates/crdt`.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;
use tokio::process::Command;

use super::aim::Aim;
use super::table::{Figures, fill};

const SECTION: &str = include_str!("sections/crdt.md");
/// How many times faster, and smaller, than the better of the two carts made of `crdts`.
const TIMES_AIM: f64 = 5.0;
/// From 1,000 to 100,000 edits only counters grow: the dots of some 40 entries and a few others, 2 bytes each, take a third one,
/// which is a sixteenth of some 650 bytes.
const GROWTH_AIM: f64 = 1.1;

const OURS: &str = "ours";
const COUNTERS: &str = "crdts_counters";
const ADDS: &str = "crdts_adds";
const TOMBSTONES: &str = "tombstones";

/// What the program prints.
#[derive(Debug, Deserialize)]
pub struct Measured {
    diverged: Diverged,
    curve: Vec<Point>,
}

/// By cart.
#[derive(Debug, Deserialize)]
struct Diverged {
    lines: u64,
    join_ns: BTreeMap<String, f64>,
    rejoin_ns: BTreeMap<String, f64>,
    encode_ns: BTreeMap<String, f64>,
    decode_ns: BTreeMap<String, f64>,
    add_bytes: BTreeMap<String, f64>,
    state_bytes: BTreeMap<String, f64>,
}

#[derive(Debug, Deserialize)]
struct Point {
    cart: String,
    edits: u64,
    bytes: u64,
    entries: u64,
}

/// Builds and runs the program, in the checkout that this is called in.
///
/// # Errors
/// It cannot be built, or two carts that should agree did not.
pub async fn measure() -> anyhow::Result<Measured> {
    let mut program = Command::new("cargo");
    program
        .args(["bench", "--quiet", "--package", "crdt", "--bench", "compare"])
        .stderr(std::process::Stdio::inherit());
    let output = program.output().await.context("cannot run cargo")?;
    anyhow::ensure!(output.status.success(), "the benchmark of crates/crdt failed: {}", output.status);
    serde_json::from_slice(&output.stdout).context("cannot read what the benchmark of crates/crdt printed")
}

/// The section's text.
///
/// # Errors
/// A figure is missing.
pub fn section(measured_with: &str, measured: &Measured) -> anyhow::Result<String> {
    let lines = measured.diverged.lines.to_string();
    let (figures, carts, curve) = (figures(measured)?, carts(&measured.diverged)?, curve(&measured.curve)?);
    let values = [
        ("measured_with", measured_with),
        ("lines", lines.as_str()),
        ("figures", figures.markdown()),
        ("carts", carts.trim_end()),
        ("curve", curve.trim_end()),
    ];
    Ok(fill(SECTION, &values))
}

fn figures(measured: &Measured) -> anyhow::Result<Figures> {
    let Diverged { join_ns, add_bytes, state_bytes, .. } = &measured.diverged;
    let mut figures = Figures::default();
    let mut add_times = |what: &str, theirs: f64, ours: f64| {
        let times = theirs / ours;
        let verdict = Aim::AtLeast(TIMES_AIM).verdict(times);
        figures.add_aimed(what, format!("{times:.2} times"), &format!("{TIMES_AIM:.0} times"), verdict);
    };
    let (our_delta, our_state) = (of(add_bytes, OURS)?, of(state_bytes, OURS)?);
    add_times("join: faster than the faster of `crdts`", least(join_ns)?, of(join_ns, OURS)?);
    let what = "one add on the wire: our delta smaller than the state that `crdts` joins";
    add_times(what, least(state_bytes)?, our_delta);
    add_times("the whole state on the wire: smaller than the smaller of `crdts`", least(state_bytes)?, our_state);
    let operation = least(add_bytes)? / our_delta;
    figures.add("one add on the wire: our delta smaller than an operation of `crdts`", format!("{operation:.2} times"));
    let growth = bytes(&measured.curve, 100_000)? / bytes(&measured.curve, 1_000)?;
    let verdict = Aim::AtMost(GROWTH_AIM).verdict(growth);
    let aim = format!("at most {GROWTH_AIM:.1} times");
    figures.add_aimed(
        "our bytes after 100,000 edits, of those after 1,000",
        format!("{growth:.2} times"),
        &aim,
        verdict,
    );
    Ok(figures)
}

fn carts(diverged: &Diverged) -> anyhow::Result<String> {
    let microseconds = |nanoseconds: f64| format!("{:.1} µs", nanoseconds / 1_000.0);
    let bytes = |bytes: f64| format!("{bytes:.0} B");
    let mut rows = String::new();
    let mut row = |what: &str, by_cart: &BTreeMap<String, f64>, show: &dyn Fn(f64) -> String| -> anyhow::Result<()> {
        let [ours, counters, adds] = [OURS, COUNTERS, ADDS].map(|cart| of(by_cart, cart).map(show));
        rows.push_str(&format!("| {what} | {} | {} | {} |\n", ours?, counters?, adds?));
        Ok(())
    };
    row("join", &diverged.join_ns, &microseconds)?;
    row("join again, nothing new", &diverged.rejoin_ns, &microseconds)?;
    row("encode", &diverged.encode_ns, &microseconds)?;
    row("decode", &diverged.decode_ns, &microseconds)?;
    row("one add: delta, or operation", &diverged.add_bytes, &bytes)?;
    row("the whole state", &diverged.state_bytes, &bytes)?;
    Ok(rows)
}

fn curve(points: &[Point]) -> anyhow::Result<String> {
    let mut rows = String::new();
    for Point { edits, .. } in points.iter().filter(|point| point.cart == OURS) {
        let cell = |cart| point(points, cart, *edits).map(|point| format!("{} B, {}", point.bytes, point.entries));
        let [ours, counters, adds, tombstones] = [OURS, COUNTERS, ADDS, TOMBSTONES].map(cell);
        rows.push_str(&format!("| {edits} | {} | {} | {} | {} |\n", ours?, counters?, adds?, tombstones?));
    }
    Ok(rows)
}

fn of(by_cart: &BTreeMap<String, f64>, cart: &str) -> anyhow::Result<f64> {
    by_cart.get(cart).copied().with_context(|| format!("the benchmark printed nothing for {cart}"))
}

/// Of the two carts made of `crdts`, the better.
fn least(by_cart: &BTreeMap<String, f64>) -> anyhow::Result<f64> {
    Ok(of(by_cart, COUNTERS)?.min(of(by_cart, ADDS)?))
}

fn bytes(points: &[Point], edits: u64) -> anyhow::Result<f64> {
    point(points, OURS, edits).map(|point| point.bytes as f64)
}

fn point<'a>(points: &'a [Point], cart: &str, edits: u64) -> anyhow::Result<&'a Point> {
    let mut found = points.iter().filter(|point| point.cart == cart && point.edits == edits);
    found.next().with_context(|| format!("the benchmark printed nothing for {cart} after {edits} edits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let by_cart = |ours: f64, counters: f64, adds: f64| {
            [(OURS, ours), (COUNTERS, counters), (ADDS, adds)].map(|(cart, value)| (cart.to_owned(), value)).into()
        };
        let diverged = Diverged {
            lines: 100,
            join_ns: by_cart(4_000.0, 40_000.0, 90_000.0),
            rejoin_ns: by_cart(2_000.0, 40_000.0, 90_000.0),
            encode_ns: by_cart(3_000.0, 4_000.0, 8_000.0),
            decode_ns: by_cart(11_000.0, 21_000.0, 45_000.0),
            add_bytes: by_cart(40.0, 30.0, 36.0),
            state_bytes: by_cart(3_200.0, 3_200.0, 4_600.0),
        };
        let mut curve = Vec::new();
        for (cart, grown) in [(OURS, 660), (COUNTERS, 660), (ADDS, 4_000), (TOMBSTONES, 327_000)] {
            for (edits, bytes) in [(1_000, 600), (100_000, grown)] {
                curve.push(Point { cart: cart.to_owned(), edits, bytes, entries: 20 });
            }
        }
        Measured { diverged, curve }
    }

    #[test]
    fn each_figure_is_held_against_the_better_of_the_others() {
        let text = section("Measured.", &measured()).unwrap();
        for expected in [
            "the faster of `crdts` | 10.00 times | 5 times | met |",
            "the state that `crdts` joins | 80.00 times | 5 times | met |",
            "the smaller of `crdts` | 1.00 times | 5 times | **missed by a factor of 5.00** |",
            "an operation of `crdts` | 0.75 times |  |  |",
            "of those after 1,000 | 1.10 times | at most 1.1 times | met |",
            "| join | 4.0 µs | 40.0 µs | 90.0 µs |",
            "| 100000 | 660 B, 20 | 660 B, 20 | 4000 B, 20 | 327000 B, 20 |",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!text.contains("{{"), "{text}");
    }

    #[test]
    fn a_figure_that_is_missing_is_not_written_down() {
        let mut measured = measured();
        measured.curve.pop();
        assert!(section("Measured.", &measured).unwrap_err().to_string().contains("tombstones after 100000 edits"));
    }
}
