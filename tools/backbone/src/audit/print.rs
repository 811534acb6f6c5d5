//! The report as a table.

use std::io::{self, Write};

use comfy_table::Table;

use super::report::{Count, Finding, Report, Verdict};

/// Prints the table, what does not agree, and a closing line.
///
/// # Errors
/// Standard output is closed.
pub fn print(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(["check", "compared", "verdict"]);
    for finding in &report.findings {
        table.add_row([finding.check.to_owned(), compared(finding), word(finding.verdict).to_owned()]);
    }
    writeln!(out, "{table}")?;
    for finding in report.findings.iter().filter(|finding| finding.verdict == Verdict::Failed) {
        for offender in &finding.offenders {
            writeln!(out, "  {}: {offender}", finding.check)?;
        }
        let unnamed = finding.offenders_total - finding.offenders.len() as u64;
        if unnamed > 0 {
            writeln!(out, "  {}: … and {unnamed} more", finding.check)?;
        }
    }
    writeln!(out, "{}", closing(report))
}

fn compared(finding: &Finding) -> String {
    let counts: Vec<String> = finding.compared.iter().map(|Count { number, of }| format!("{number} {of}")).collect();
    let reason = finding.reason.as_deref();
    let parts: Vec<String> = [counts.join(", "), reason.unwrap_or_default().to_owned()]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    parts.join("; ")
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Failed => "FAILED",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Skipped => "skipped",
    }
}

fn closing(report: &Report) -> String {
    let names = |verdict| -> Vec<&str> {
        report.findings.iter().filter(|finding| finding.verdict == verdict).map(|finding| finding.check).collect()
    };
    let (held, failed) = (names(Verdict::Ok).len(), names(Verdict::Failed));
    let waited = report.waited.as_secs_f64();
    if !report.stood_still {
        return format!(
            "audit: inconclusive: the stores were written to while they were read, so they do not show one moment \
             (waited {waited:.1} s); audit again when the load has ended, or with a longer --settle"
        );
    }
    match report.verdict() {
        Verdict::Ok | Verdict::Skipped => {
            format!("audit: all {held} checks hold (waited {waited:.1} s for work in flight)")
        }
        Verdict::Failed => format!("audit: FAILED: {}", failed.join(", ")),
        Verdict::Inconclusive => format!("audit: inconclusive: {}", names(Verdict::Inconclusive).join(", ")),
    }
}
