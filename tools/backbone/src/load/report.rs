//! What `backbone load checkout` prints, and writes as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::ceiling::Ceiling;
use super::commits::PerOrder;
use super::open_loop::Step;
use super::verify::Verified;

/// The whole measurement.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What p99 had to stay below.
    pub p99_limit_ms: u32,
    /// The steps of the search, in order.
    pub steps: Vec<Step>,
    /// The run at the rate given or found.
    pub held: Step,
    /// What it cost, and the ceiling.
    pub cost: Option<Cost>,
    /// What verification found.
    pub verified: Option<Verified>,
}

/// What orders cost the databases, beside what those could do at best.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// What one order cost.
    pub order: PerOrder,
    /// pgbench on both regions at once.
    pub ceiling: Ceiling,
    /// Its commits a second over the write transactions of an order.
    pub ceiling_orders_per_second: f64,
    /// The rate held over the ceiling.
    pub ratio: f64,
}

impl Cost {
    /// Compares the rate that was held with the ceiling.
    pub fn new(order: PerOrder, ceiling: Ceiling, rate: u32) -> Self {
        let ceiling_orders_per_second = ceiling.orders_per_second(order.write_transactions);
        let ratio = f64::from(rate) / ceiling_orders_per_second;
        Self { order, ceiling, ceiling_orders_per_second, ratio }
    }
}

impl Report {
    /// Whether the rate was held within the limit without an error, and no answer was wrong.
    pub fn is_good(&self) -> bool {
        let truthful = self.verified.as_ref().is_none_or(|verified| verified.wrong == 0);
        truthful && self.held.is_good(self.p99_limit_ms)
    }
}

/// Prints the report.
///
/// # Errors
/// Standard output is closed.
pub fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for step in &report.steps {
        print_step(&mut out, "step", step, report.p99_limit_ms)?;
    }
    print_step(&mut out, "held", &report.held, report.p99_limit_ms)?;
    let late = &report.held.sent_late;
    writeln!(out, "      of which sent late by this program: p50 {:.1} ms, p99 {:.1} ms", late.p50_ms, late.p99_ms)?;
    writeln!(out, "      at most {} orders in flight", report.held.in_flight_max)?;
    if let Some(cost) = &report.cost {
        print_cost(&mut out, cost, report.held.rate)?;
    }
    if let Some(verified) = &report.verified {
        let Verified { checked, placed_after_all, wrong, described } = verified;
        writeln!(out, "{checked} answers checked: {wrong} wrong, {placed_after_all} orders placed after all")?;
        for what in described {
            writeln!(out, "WRONG {what}")?;
        }
    }
    Ok(())
}

fn print_step(out: &mut impl Write, name: &str, step: &Step, p99_limit_ms: u32) -> io::Result<()> {
    let verdict = if step.is_good(p99_limit_ms) { "good" } else { "bad" };
    writeln!(out, "{name}  {:>5}/s for {:.1} s: {verdict}, {}", step.rate, step.seconds, step.latency)?;
    for (reason, count) in &step.errors {
        writeln!(out, "      {count} × {reason}")?;
    }
    Ok(())
}

fn print_cost(out: &mut impl Write, cost: &Cost, rate: u32) -> io::Result<()> {
    let PerOrder { write_transactions, log_flushes, idle_write_transactions_per_second } = &cost.order;
    writeln!(
        out,
        "one order, in both regions: {write_transactions:.1} write transactions \
         (counted by their ids; {idle_write_transactions_per_second:.1}/s of idling taken off)"
    )?;
    if let Some(log_flushes) = log_flushes {
        writeln!(out, "      {log_flushes:.1} flushes of the write-ahead log: commits at the same moment share one")?;
    }
    let Ceiling { clients, east_commits_per_second: east, west_commits_per_second: west } = cost.ceiling;
    writeln!(out, "ceiling: pgbench with {clients} clients on each region: {east:.0} + {west:.0} commits/s")?;
    writeln!(
        out,
        "       = {:.1} orders/s; held {rate}/s, which is {:.0} % of it",
        cost.ceiling_orders_per_second,
        cost.ratio * 100.0
    )
}
