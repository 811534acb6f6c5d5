//! What a drill found, for people and for programs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::audit::report::{Count, Finding, Verdict};
use crate::replay::report::write_json;

/// What a drill comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The fault bit, and every promise held.
    Passed,
    /// A promise was broken.
    Failed,
    /// No promise was seen broken, but that proves nothing.
    Inconclusive,
}

impl Outcome {
    /// What the verdicts come to. A system that is sabotaged and passes all of them was not sabotaged, or the verdicts are blind.
    pub fn of(verdicts: &[Finding], is_sabotaged: bool) -> Self {
        let any = |verdict| verdicts.iter().any(|finding| finding.verdict == verdict);
        if any(Verdict::Failed) {
            Self::Failed
        } else if any(Verdict::Inconclusive) || is_sabotaged {
            Self::Inconclusive
        } else {
            Self::Passed
        }
    }

    /// 0 only if it passed; 1 if it failed; 2 if that cannot be told.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Passed => ExitCode::SUCCESS,
            Self::Failed => ExitCode::FAILURE,
            Self::Inconclusive => ExitCode::from(2),
        }
    }

    /// In capitals, for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "PASSED",
            Self::Failed => "FAILED",
            Self::Inconclusive => "INCONCLUSIVE",
        }
    }
}

/// The verdicts as a table, and below it each row that offends.
pub fn write_verdicts(f: &mut impl fmt::Write, verdicts: &[Finding]) -> fmt::Result {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["verdict", "", "of"]);
    for finding in verdicts {
        let word = match finding.verdict {
            Verdict::Ok | Verdict::Skipped => "holds",
            Verdict::Failed => "FAILED",
            Verdict::Inconclusive => "inconclusive",
        };
        let counts = finding.compared.iter().map(|Count { number, of }| format!("{number} {of}"));
        let of: Vec<String> = counts.chain(finding.reason.clone()).collect();
        table.add_row([finding.check, word, &of.join(", ")]);
    }
    write_table(f, &table)?;
    for finding in verdicts {
        for offender in &finding.offenders {
            writeln!(f, "  {}: {offender}", finding.check)?;
        }
        let unnamed = finding.offenders_total - finding.offenders.len() as u64;
        if unnamed > 0 {
            writeln!(f, "  {}: … and {unnamed} more", finding.check)?;
        }
    }
    Ok(())
}

/// A table without the blanks at the ends of its lines, which one long cell would push off every screen.
fn write_table(f: &mut impl fmt::Write, table: &Table) -> fmt::Result {
    table.to_string().lines().try_for_each(|line| writeln!(f, "{}", line.trim_end()))
}

/// A drill of orders: what was asked of it, what it saw, what it comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name on the command line.
    pub drill: &'static str,
    /// The guard that was taken away, if any.
    pub without: Option<&'static str>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// What was expected, said before it was tried.
    pub hypothesis: String,
    /// What was measured, in the order in which it is told.
    pub figures: Vec<Figure>,
    /// What happened when, in seconds from the first order on.
    pub timeline: Vec<(f64, String)>,
    /// The fault's, then one per promise, then the audit's.
    pub verdicts: Vec<Finding>,
}

/// Something measured, in words.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Of what.
    pub of: String,
    /// How much.
    pub is: String,
}

/// The report as a file: what it comes to stands first.
#[derive(Serialize)]
struct Written<'a> {
    outcome: Outcome,
    #[serde(flatten)]
    report: &'a Report,
}

impl Report {
    /// Adds a figure.
    pub fn figure(&mut self, of: impl Into<String>, is: impl fmt::Display) {
        self.figures.push(Figure { of: of.into(), is: is.to_string() });
    }

    /// What all verdicts come to.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(&self.verdicts, self.without.is_some())
    }

    /// Writes it into `folder` as JSON and as Markdown, and as Markdown to `also`. Returns the files.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path, also: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let without = self.without.map_or_else(String::new, |guard| format!("-without-{guard}"));
        let name = format!("drill-{}{without}", self.drill);
        let (json, markdown) = (folder.join(format!("{name}.json")), folder.join(format!("{name}.md")));
        write_json(&json, &Written { outcome: self.outcome(), report: self })?;
        let mut files = vec![json, markdown];
        files.extend(also.map(Path::to_owned));
        for file in files.iter().skip(1) {
            std::fs::write(file, self.markdown()).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(files)
    }

    fn markdown(&self) -> String {
        let started = self.started_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let without = self.without.map_or_else(String::new, |guard| format!(" without {guard}"));
        let (drill, outcome, hypothesis) = (self.drill, self.outcome().word(), &self.hypothesis);
        let line = |(at, what): &(f64, String)| format!("  {at:>6.1} s  {what}\n");
        let timeline: String = self.timeline.iter().map(line).collect();
        format!(
            "# Drill: {drill}{without} — {outcome}\n\nBegun {started}.\n\n```text\n{hypothesis}\n\n{timeline}{self}\n```\n"
        )
    }
}

/// Figures and verdicts. The timeline was told while it happened, and stands in the files.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for Figure { of, is } in &self.figures {
            table.add_row([of, is]);
        }
        let mut verdicts = String::new();
        write_verdicts(&mut verdicts, &self.verdicts)?;
        writeln!(f)?;
        write_table(f, &table)?;
        write!(f, "\n{verdicts}")?;
        let outcome = self.outcome();
        if let (Outcome::Inconclusive, Some(guard)) = (outcome, self.without) {
            writeln!(f, "  the guard {guard} was taken away, and no verdict noticed")?;
        }
        write!(f, "drill {}: {}", self.drill, outcome.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::report::{Examined, conclude};

    fn report(without: Option<&'static str>, spoil: impl FnOnce(&mut Examined)) -> Report {
        let mut examined = Examined::default();
        spoil(&mut examined);
        Report {
            drill: "crash-storm",
            without,
            started_at: DateTime::UNIX_EPOCH,
            hypothesis: "all is well".to_owned(),
            figures: Vec::new(),
            timeline: vec![(1.5, "east/order dies".to_owned())],
            verdicts: vec![conclude("CHARGED ONCE", || Ok(examined))],
        }
    }

    #[test]
    fn only_a_fault_that_bit_and_promises_that_held_pass() {
        assert_eq!(report(None, |_| {}).outcome(), Outcome::Passed);
        let failed = report(None, |examined| examined.require(false, || "charged twice".to_owned()));
        assert_eq!(failed.outcome(), Outcome::Failed);
        assert!(failed.to_string().contains("CHARGED ONCE: charged twice"), "{failed}");
        let idle = report(None, |examined| examined.cannot_tell("nobody died"));
        assert_eq!(idle.outcome(), Outcome::Inconclusive);
        assert!(idle.to_string().contains("nobody died"), "{idle}");
    }

    #[test]
    fn the_file_tells_what_happened_when() {
        assert!(report(None, |_| {}).markdown().contains("\n     1.5 s  east/order dies\n"));
    }

    #[test]
    fn a_guard_that_nobody_missed_is_no_success() {
        let unnoticed = report(Some("inbox-check"), |_| {});
        assert_eq!(unnoticed.outcome(), Outcome::Inconclusive);
        assert!(unnoticed.to_string().contains("no verdict noticed"), "{unnoticed}");
        assert_eq!(report(Some("inbox-check"), |it| it.require(false, String::new)).outcome(), Outcome::Failed);
    }
}
