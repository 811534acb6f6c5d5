//! `make sim-orders`: any number of simulated histories, or one of them again.
//!
//! `SEEDS`: how many (10,000 by default). `FROM`: the first (0). `SEED`: only this one, with its plan.
#![allow(clippy::print_stdout, reason = "a command for people")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use simulation::coverage::{Coverage, Seen};
use simulation::crowd::{Tally, run_all};
use simulation::plan::Plan;
use simulation::{Micros, Verdict, run};

/// Failures that are shown. Each one is a bug to find; more of them say little.
const FAILURES_MAX: usize = 5;

fn main() -> anyhow::Result<ExitCode> {
    match (number("SEED")?, number("SEEDS")?, number("FROM")?) {
        (Some(seed), _, _) => Ok(one(seed)),
        (None, seeds, from) => many(from.unwrap_or(0), seeds.unwrap_or(10_000)),
    }
}

fn number(name: &str) -> anyhow::Result<Option<u64>> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    value.map(|value| value.parse().with_context(|| format!("{name} is a number, not {value:?}"))).transpose()
}

fn one(seed: u64) -> ExitCode {
    println!("seed {seed} means: {:#?}", Plan::of(seed));
    match run(seed, None) {
        Ok(report) => {
            println!("it went through {} steps and {} orders:", HumanCount(report.steps), report.orders);
            tell(&report.coverage);
            println!("\nPASSED: settled {} after the faults ended", seconds(report.settled_after));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("FAILED: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn many(from: u64, seeds: u64) -> anyhow::Result<ExitCode> {
    println!("{} histories of orders, seeds {from} to {}", HumanCount(seeds), from + seeds.saturating_sub(1));
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len}, {msg}, {eta} left")?;
    let bar = ProgressBar::new(seeds).with_style(style);
    let began = Instant::now();
    let tally = run_all(from..from + seeds, None, FAILURES_MAX, |tally| {
        bar.set_position(tally.runs);
        bar.set_message(format!("{} failed", tally.failures.len()));
    });
    bar.finish_and_clear();
    conclude(&tally, began.elapsed());
    Ok(if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(coverage: &Coverage) {
    for what in Seen::ALL.iter().filter(|what| coverage.of(**what) > 0) {
        println!("  {:>12}  {}", HumanCount(coverage.of(*what)).to_string(), what.text());
    }
}

fn conclude(tally: &Tally, took: Duration) {
    tell(&tally.coverage);
    let (slowest, seed) = tally.slowest;
    println!("  {:>12}  slowest to settle after the faults ended (seed {seed})\n", seconds(slowest));
    for failure in &tally.failures {
        println!("{failure}\n");
    }
    let verdicts = tally.verdicts();
    let failed = |which: &[Verdict]| which.iter().filter_map(|verdict| verdicts.get(verdict)).sum::<usize>() as u64;
    for (name, which, meaning) in [
        (
            "MONEY",
            &[Verdict::Charged, Verdict::Shown, Verdict::Ledger, Verdict::Refunds][..],
            "charged once over all accounts what was shown, booked, never more out than in",
        ),
        ("REGIONS", &[Verdict::Home, Verdict::Intention], "one home for each order, one order for each request"),
        ("CARTS", &[Verdict::Cart], "nothing leaves but what was ordered or removed"),
        ("STOCK", &[Verdict::Stock], "nothing lost, made up or below zero"),
        ("ORDERS", &[Verdict::Orders, Verdict::Acknowledged], "as acknowledged, with what their state calls for"),
        (
            "ONCE",
            &[Verdict::Events, Verdict::EffectTwice, Verdict::DeadLetter],
            "one event, one effect, no dead letters",
        ),
        ("FENCED", &[Verdict::ZombieWrote, Verdict::Illegal], "no late write, no illegal step"),
        ("SETTLED", &[Verdict::Settled], "nothing stayed in flight"),
    ] {
        let held = tally.runs - failed(which);
        println!("  {name:<8} {:>10} of {}  {meaning}", HumanCount(held).to_string(), HumanCount(tally.runs));
    }
    let verdict = if tally.failures.is_empty() { "PASSED" } else { "FAILED" };
    let (orders, steps) = (HumanCount(tally.orders), HumanCount(tally.steps));
    println!("\n{verdict}: {orders} orders, {steps} steps, each checked, in {:.1} s", took.as_secs_f64());
}

fn seconds(micros: Micros) -> String {
    format!("{:.1} s", Duration::from_micros(micros).as_secs_f64())
}
