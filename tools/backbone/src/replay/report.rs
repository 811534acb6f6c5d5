//! What is printed at the end, and written as JSON for the benchmark document.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use comfy_table::{CellAlignment, Table};
use serde::{Deserialize, Serialize};

use super::expected::Check;
use super::run::Run;
use crate::load::latency::Percentiles;

/// Failures printed one by one; the rest are counted.
const FAILURES_SHOWN: usize = 20;

/// How fast the orders went in, from the first cart to the last checkout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Such as `2010-12`.
    pub month: String,
    /// Customers at once.
    pub concurrency: usize,
    /// Orders asked for.
    pub orders: usize,
    /// Lines added.
    pub lines: usize,
    /// From the first cart to the last checkout.
    pub seconds: f64,
    /// Orders a second.
    pub orders_per_second: f64,
    /// Lines a second.
    pub lines_per_second: f64,
    /// Latency of adding a line.
    pub add: Percentiles,
    /// Latency of a checkout.
    pub checkout: Percentiles,
    /// Tries that were repeats.
    pub retries: u64,
    /// What failed for good.
    pub failures: usize,
    /// Figures that differ from what was expected.
    pub differences: usize,
}

impl Measured {
    /// Of a run whose orders took `elapsed`.
    pub fn of(run: &Run, elapsed: Duration, differences: usize) -> Self {
        let lines: usize = run.month.orders.iter().map(|order| order.lines.len()).sum();
        let per_second = |count: usize| count as f64 / elapsed.as_secs_f64().max(0.001);
        Self {
            month: run.month.name.clone(),
            concurrency: run.concurrency,
            orders: run.month.orders.len(),
            lines,
            seconds: elapsed.as_secs_f64(),
            orders_per_second: per_second(run.month.orders.len()),
            lines_per_second: per_second(lines),
            add: run.adds.percentiles(),
            checkout: run.checkouts.percentiles(),
            retries: run.retries.count(),
            failures: run.failures().len(),
            differences,
        }
    }
}

/// Prints a reconciliation: expected, actual, ok.
///
/// # Errors
/// Standard output is closed.
pub fn print_checks(checks: &[Check]) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["", "expected", "actual", "ok"]);
    for check in checks {
        let figure = |figure: Option<i64>| figure.map_or_else(|| "absent".to_owned(), grouped);
        let ok = if check.is_ok() { "yes" } else { "NO" };
        table.add_row([check.name.clone(), figure(check.expected), figure(check.actual), ok.to_owned()]);
    }
    for column in table.column_iter_mut().skip(1).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(io::stdout().lock(), "{table}")
}

/// Prints what was measured and what failed.
///
/// # Errors
/// Standard output is closed.
pub fn print_measured(measured: &Measured, failures: &[String]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} orders, {} lines in {:.1} s: {:.1} orders/s, {:.0} lines/s, {} at once, {} tries repeated",
        measured.orders,
        measured.lines,
        measured.seconds,
        measured.orders_per_second,
        measured.lines_per_second,
        measured.concurrency,
        measured.retries
    )?;
    writeln!(out, "add       {}", measured.add)?;
    writeln!(out, "checkout  {}", measured.checkout)?;
    for failure in failures.iter().take(FAILURES_SHOWN) {
        writeln!(out, "FAILED    {failure}")?;
    }
    if failures.len() > FAILURES_SHOWN {
        writeln!(out, "FAILED    … and {} more", failures.len() - FAILURES_SHOWN)?;
    }
    Ok(())
}

/// Writes a report as JSON.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(file: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_vec_pretty(report)?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// `1234567` as `1,234,567`.
fn grouped(figure: i64) -> String {
    let digits = figure.unsigned_abs().to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if figure < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(82_374_614), "82,374,614");
        assert_eq!(grouped(-1_000), "-1,000");
    }
}
