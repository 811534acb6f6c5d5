//! `make sim`: any number of simulated histories, or one of them again.
//!
//! `SEEDS`: how many (10,000 by default). `FROM`: the first (0). `SEED`: only this one, with its plan.
#![allow(clippy::expect_used, reason = "a broken simulation must stop")]
#![allow(clippy::print_stdout, reason = "a command for people")]
#![allow(dead_code, reason = "the tests use the rest")]

#[path = "../tests/simulation/sim/mod.rs"]
mod sim;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use sim::Micros;
use sim::crowd::{Tally, run_all};
use sim::plan::plan_of;
use sim::world::{Verdict, run};

/// Failures that are shown. Each one is a bug to find; more of them say little.
const FAILURES_MAX: usize = 5;

fn main() -> ExitCode {
    match (number("SEED"), number("SEEDS"), number("FROM")) {
        (Some(seed), _, _) => one(seed),
        (None, seeds, from) => many(from.unwrap_or(0), seeds.unwrap_or(10_000)),
    }
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

fn one(seed: u64) -> ExitCode {
    println!("seed {seed} means: {:#?}", plan_of(seed));
    match run(seed, None) {
        Ok(report) => {
            println!(
                "it went through: {report:#?}\n\nPASSED: converged {} after the faults ended",
                seconds(report.converged_after)
            );
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, seeds: u64) -> ExitCode {
    println!("{} histories of 3 to 5 replicas, seeds {from} to {}", HumanCount(seeds), from + seeds.saturating_sub(1));
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len}, {msg}, {eta} left");
    let bar = ProgressBar::new(seeds).with_style(style.expect("a literal"));
    let began = Instant::now();
    let tally = run_all(from..from + seeds, None, FAILURES_MAX, |tally| {
        bar.set_position(tally.runs);
        bar.set_message(format!("{} failed", tally.failures.len()));
    });
    bar.finish_and_clear();
    tell(&tally, began.elapsed());
    if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tell(tally: &Tally, took: Duration) {
    let sum = &tally.sum;
    for (what, count) in [
        ("edits acknowledged", sum.edits),
        ("messages lost", sum.lost),
        ("messages doubled", sum.duplicated),
        ("links cut", sum.cuts),
        ("crashes", sum.crashes),
        ("disks restored from a backup", sum.restores),
        ("edits gone with those disks", sum.gone_with_a_disk),
        ("log entries lost", sum.lost_entries),
        ("carts repaired by anti-entropy", sum.repairs),
        ("carts compared with their histories on the way", sum.views),
    ] {
        println!("  {:>12}  {what}", HumanCount(count).to_string());
    }
    let (slowest, seed) = tally.slowest;
    println!("  {:>12}  slowest convergence after the faults ended (seed {seed})\n", seconds(slowest));
    for failure in &tally.failures {
        println!("{failure}\n");
    }
    let verdicts = tally.verdicts();
    let failed = |which: &[Verdict]| which.iter().filter_map(|verdict| verdicts.get(verdict)).sum::<usize>() as u64;
    for (name, which, meaning) in [
        ("CONVERGED", &[Verdict::NotConverged][..], "every replica holds the same bytes"),
        ("LOSSLESS", &[Verdict::Lost], "every acknowledged edit is there"),
        ("INTENT", &[Verdict::Intent], "carts hold what their histories imply"),
        (
            "SAFE",
            &[Verdict::Gap, Verdict::AckedBeforeDurable, Verdict::Unbounded, Verdict::TrimmedTooFar, Verdict::Refused],
            "positions, bounds and trimming held at every step",
        ),
    ] {
        let held = tally.runs - failed(which);
        println!("  {name:<10} {:>10} of {}  {meaning}", HumanCount(held).to_string(), HumanCount(tally.runs));
    }
    let verdict = if tally.failures.is_empty() { "PASSED" } else { "FAILED" };
    println!("\n{verdict}: {} histories in {:.1} s", HumanCount(tally.runs), took.as_secs_f64());
}

fn seconds(micros: Micros) -> String {
    format!("{:.1} s", Duration::from_micros(micros).as_secs_f64())
}
