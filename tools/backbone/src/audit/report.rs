//! What the audit found: a finding per check, and what they come to.

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use super::sources::Unreadable;

/// Offending rows named per check; the rest are counted. It bounds the report whatever went wrong.
const OFFENDERS_NAMED_MAX: usize = 10;
/// Exit status when nothing was found wrong but not everything could be looked at.
const INCONCLUSIVE_STATUS: u8 = 2;

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything was compared and agrees.
    Ok,
    /// Something does not agree; the rows are named.
    Failed,
    /// It could not be told: a store could not be read, or moved while it was. Never taken for passed.
    Inconclusive,
    /// There is nothing to check: what it would compare need not agree now. Not a doubt, so it leaves the exit status alone.
    Skipped,
}

/// How many of what were compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many.
    pub number: u64,
    /// Of what, in the plural.
    pub of: &'static str,
}

/// A check's outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// What it comes to.
    pub verdict: Verdict,
    /// What was compared.
    pub compared: Vec<Count>,
    /// The first offending rows, and what is wrong with each.
    pub offenders: Vec<String>,
    /// All offending rows, the unnamed ones included.
    pub offenders_total: u64,
    /// Why it is inconclusive or skipped.
    pub reason: Option<String>,
}

/// What an audit found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// A finding per check, in the order of the checks.
    pub findings: Vec<Finding>,
    /// How long it waited for work in flight.
    pub waited: Duration,
    /// Whether nothing was written while the stores were read. If something was, they do not show one moment, and no finding
    /// proves anything.
    pub stood_still: bool,
}

impl Report {
    /// The report of `findings`. What failed while the stores were written to may be no more than two halves of one change.
    pub(super) fn new(mut findings: Vec<Finding>, waited: Duration, stood_still: bool) -> Self {
        for finding in findings.iter_mut().filter(|finding| !stood_still && finding.verdict == Verdict::Failed) {
            finding.verdict = Verdict::Inconclusive;
            finding.reason =
                Some(format!("{} rows differ, but the stores moved while they were read", finding.offenders_total));
        }
        Self { findings, waited, stood_still }
    }

    /// What all findings come to.
    pub fn verdict(&self) -> Verdict {
        let any = |verdict| self.findings.iter().any(|finding| finding.verdict == verdict);
        if !self.stood_still {
            Verdict::Inconclusive
        } else if any(Verdict::Failed) {
            Verdict::Failed
        } else if any(Verdict::Inconclusive) || self.findings.is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Ok
        }
    }

    /// 0 only if every check holds; 1 if one failed; 2 if it cannot be told.
    pub fn exit_code(&self) -> ExitCode {
        match self.verdict() {
            Verdict::Ok | Verdict::Skipped => ExitCode::SUCCESS,
            Verdict::Failed => ExitCode::FAILURE,
            Verdict::Inconclusive => ExitCode::from(INCONCLUSIVE_STATUS),
        }
    }
}

/// What a check saw, as it goes along.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    compared: Vec<Count>,
    offenders: Vec<String>,
    offenders_total: u64,
    unknown: Option<String>,
}

impl Examined {
    /// Adds to what was compared.
    pub fn count(&mut self, number: usize, of: &'static str) {
        match self.compared.iter_mut().find(|count| count.of == of) {
            Some(count) => count.number += number as u64,
            None => self.compared.push(Count { number: number as u64, of }),
        }
    }

    /// Notes an offending row unless the rule holds. `row` names it and says what is wrong.
    pub fn require(&mut self, holds: bool, row: impl FnOnce() -> String) {
        if !holds {
            self.offenders_total += 1;
            if self.offenders.len() < OFFENDERS_NAMED_MAX {
                self.offenders.push(row());
            }
        }
    }

    /// Notes `total` offending records, the first of which are described. `place`: whose they are.
    pub fn refuse(&mut self, total: usize, described: &[String], place: &str) {
        for record in 0..total {
            self.require(false, || {
                let described = described.get(record).map_or("a record not described", String::as_str);
                format!("{place}, {described}")
            });
        }
    }

    /// Notes that part of it cannot be known any more. Without offenders the check is then inconclusive.
    pub fn cannot_tell(&mut self, why: impl Into<String>) {
        self.unknown.get_or_insert_with(|| why.into());
    }

    /// The rows named so far.
    #[cfg(test)]
    pub fn offenders(&self) -> &[String] {
        &self.offenders
    }

    /// How many of these were compared so far.
    #[cfg(test)]
    pub fn counted(&self, of: &str) -> u64 {
        self.compared.iter().filter(|count| count.of == of).map(|count| count.number).sum()
    }

    fn finding(self, check: &'static str) -> Finding {
        let verdict = match (self.offenders_total, &self.unknown) {
            (0, None) => Verdict::Ok,
            (0, Some(_)) => Verdict::Inconclusive,
            _ => Verdict::Failed,
        };
        Finding {
            check,
            verdict,
            compared: self.compared,
            offenders: self.offenders,
            offenders_total: self.offenders_total,
            reason: self.unknown,
        }
    }
}

/// The finding of a check, which is inconclusive when a store it needs could not be read.
pub fn conclude(check: &'static str, examine: impl FnOnce() -> Result<Examined, Unreadable>) -> Finding {
    match examine() {
        Ok(examined) => examined.finding(check),
        Err(unreadable) => bare(check, Verdict::Inconclusive, unreadable.to_string()),
    }
}

/// A check that does not apply now.
pub fn skipped(check: &'static str, why: &str) -> Finding {
    bare(check, Verdict::Skipped, why.to_owned())
}

fn bare(check: &'static str, verdict: Verdict, reason: String) -> Finding {
    Finding { check, verdict, compared: Vec::new(), offenders: Vec::new(), offenders_total: 0, reason: Some(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Vec<Finding>) -> Report {
        Report::new(findings, Duration::ZERO, true)
    }

    fn ok() -> Finding {
        conclude("a", || Ok(Examined::default()))
    }

    fn failed() -> Finding {
        conclude("b", || {
            let mut examined = Examined::default();
            (0..25).for_each(|row| examined.require(row == 0, || format!("row {row}")));
            Ok(examined)
        })
    }

    fn unreachable() -> Finding {
        conclude("c", || Err(Unreadable::new("west Kafka", "no answer")))
    }

    #[test]
    fn a_store_that_cannot_be_read_is_never_passed() {
        assert_eq!(report(vec![ok(), skipped("d", "not yet")]).verdict(), Verdict::Ok);
        assert_eq!(report(vec![ok(), unreachable()]).verdict(), Verdict::Inconclusive);
        assert_eq!(report(vec![unreachable(), failed()]).verdict(), Verdict::Failed);
        assert_eq!(report(Vec::new()).verdict(), Verdict::Inconclusive);
    }

    #[test]
    fn what_moved_while_it_was_read_proves_nothing() {
        assert_eq!(Report::new(vec![ok()], Duration::ZERO, false).verdict(), Verdict::Inconclusive);
        let moved = Report::new(vec![ok(), failed()], Duration::ZERO, false);
        assert_eq!(moved.verdict(), Verdict::Inconclusive);
        assert_eq!(moved.findings[1].verdict, Verdict::Inconclusive);
    }

    #[test]
    fn ten_offenders_are_named_and_all_are_counted() {
        let finding = failed();
        assert_eq!((finding.offenders.len(), finding.offenders_total), (OFFENDERS_NAMED_MAX, 24));
    }
}
