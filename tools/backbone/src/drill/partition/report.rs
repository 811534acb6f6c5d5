//! What the drill found, for people and for programs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Table, presets};
use serde::Serialize;
use wan::Direction;

use super::PartitionArgs;
use super::availability::Answers;
use super::convergence::Convergence;
use super::evidence::Withheld;
use super::sabotage::CartMerge;
use crate::audit::report::Finding;
use crate::drill::report::{Outcome, write_verdicts};
use crate::replay::report::write_json;

/// What was asked of the drill.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long the writers wrote.
    pub duration_s: f64,
    /// Writes a second in each region.
    pub rate: u32,
    /// Carts.
    pub carts: u16,
    /// The only direction cut; absent for both.
    pub one_way: Option<Direction>,
    /// What was written where and when.
    pub seed: u64,
    /// How carts merged.
    pub cart: CartMerge,
}

/// What the drill found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was asked.
    pub settings: Settings,
    /// By phase and region.
    pub answers: Vec<Answers>,
    /// By direction cut.
    pub withheld: Vec<Withheld>,
    /// How long it took.
    pub convergence: Convergence,
    /// The fault's, then one per promise.
    pub verdicts: Vec<Finding>,
}

/// The report as a file: what it comes to stands first.
#[derive(Serialize)]
struct Written<'a> {
    drill: &'static str,
    outcome: Outcome,
    hypothesis: String,
    #[serde(flatten)]
    report: &'a Report,
}

impl Settings {
    /// Of these flags, whose seed is drawn by now.
    pub fn of(args: &PartitionArgs, started_at: DateTime<Utc>) -> Self {
        let PartitionArgs { duration, rate, carts, one_way, seed, cart, .. } = args;
        let (duration_s, seed) = (duration.as_secs_f64(), seed.unwrap_or_default());
        Self { started_at, duration_s, rate: *rate, carts: *carts, one_way: *one_way, seed, cart: *cart }
    }

    /// What is expected, said before it is tried.
    pub fn hypothesis(&self) -> String {
        let Self { duration_s, rate, carts, one_way, seed, cart, .. } = self;
        let ways = one_way.map_or_else(|| "both ways".to_owned(), |way| way.to_string());
        let cut_s = duration_s * 3.0 / 5.0;
        let sabotage = match cart {
            CartMerge::Crdt => String::new(),
            CartMerge::LastWriterWins => "\nThe cart is sabotaged (last writer wins): LOSSLESS has to fail.".to_owned(),
        };
        format!(
            "Hypothesis: with the link cut {ways} for {cut_s:.0} s, while {rate} writes a second go to the same {carts} carts in each region,\n\
             each region answers every write as ever (AVAILABLE); after the heal both hold the same bytes (CONVERGED), every acknowledged\n\
             add is accounted for (LOSSLESS), and every line holds what its history implies (INTENT). Seed {seed}.{sabotage}\n"
        )
    }
}

impl Report {
    /// What all verdicts come to. A sabotaged cart that passes all of them was no sabotaged cart, or the verdicts are blind.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(&self.verdicts, self.settings.cart != CartMerge::Crdt)
    }

    /// Writes it into `folder` as JSON and as Markdown, and as Markdown to `also`. Returns the files.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path, also: Option<&Path>) -> anyhow::Result<Vec<PathBuf>> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let name = match self.settings.cart {
            CartMerge::Crdt => "drill-partition",
            CartMerge::LastWriterWins => "drill-partition-last-writer-wins",
        };
        let (json, markdown) = (folder.join(format!("{name}.json")), folder.join(format!("{name}.md")));
        let hypothesis = self.settings.hypothesis();
        write_json(&json, &Written { drill: "partition", outcome: self.outcome(), hypothesis, report: self })?;
        let mut files = vec![json, markdown];
        files.extend(also.map(Path::to_owned));
        for file in files.iter().skip(1) {
            std::fs::write(file, self.markdown()).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(files)
    }

    fn markdown(&self) -> String {
        let Settings { started_at, duration_s, .. } = &self.settings;
        let started = started_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (hypothesis, outcome) = (self.settings.hypothesis(), self.outcome().word());
        format!(
            "# Drill: partition — {outcome}\n\nBegun {started}, {duration_s:.0} s of writes.\n\n```text\n{hypothesis}\n{self}\n```\n"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.answers_table())?;
        for seen in &self.withheld {
            let Withheld { way, cut_for_ms, bytes_held, bytes_leaked, writes_before, writes_withheld, writes_leaked } =
                seen;
            let cut_for = humantime::format_duration(Duration::from_millis(*cut_for_ms));
            writeln!(
                f,
                "{way}: cut for {cut_for} at the last look; {bytes_held} bytes held, {bytes_leaked} passed; {writes_withheld} writes withheld, \
                 {writes_leaked} passed; {writes_before} had passed before"
            )?;
        }
        let Convergence { backlog_crossed_s, each_cart_identical_s, all_identical_after_writers_s } = self.convergence;
        let after = |seconds: Option<f64>| {
            seconds.map_or_else(|| "never".to_owned(), |seconds| format!("after {seconds:.1} s"))
        };
        writeln!(f, "from the heal, with the writers at work:")?;
        writeln!(f, "  everything of the cut had crossed                {}", after(backlog_crossed_s))?;
        writeln!(f, "  each cart had been identical in both regions     {}", after(each_cart_identical_s))?;
        writeln!(f, "from the last write: all identical at once       {}\n", after(all_identical_after_writers_s))?;
        write_verdicts(f, &self.verdicts)?;
        let outcome = self.outcome();
        if outcome == Outcome::Inconclusive && self.settings.cart != CartMerge::Crdt {
            writeln!(f, "  the cart was to be sabotaged, and no verdict noticed")?;
        }
        write!(f, "drill partition: {}", outcome.word())
    }
}

impl Report {
    fn answers_table(&self) -> Table {
        let header = ["phase", "region", "acknowledged", "nothing to set", "errors", "p50 ms", "p99 ms", "max ms"];
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header);
        for Answers { phase, region, acknowledged, nothing_to_set, errors, latency } in &self.answers {
            table.add_row([
                phase.name().to_owned(),
                region.to_string(),
                acknowledged.to_string(),
                nothing_to_set.to_string(),
                errors.values().sum::<usize>().to_string(),
                format!("{:.1}", latency.p50_ms),
                format!("{:.1}", latency.p99_ms),
                format!("{:.1}", latency.max_ms),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::report::{Examined, conclude};

    fn report(cart: CartMerge, spoil: impl FnOnce(&mut Examined)) -> Report {
        let settings = Settings {
            started_at: DateTime::UNIX_EPOCH,
            duration_s: 20.0,
            rate: 50,
            carts: 40,
            one_way: None,
            seed: 1,
            cart,
        };
        let mut examined = Examined::default();
        spoil(&mut examined);
        let verdicts = vec![conclude("fault bit", || Ok(Examined::default())), conclude("LOSSLESS", || Ok(examined))];
        let convergence = Convergence { backlog_crossed_s: Some(0.3), ..Convergence::default() };
        Report { settings, answers: Vec::new(), withheld: Vec::new(), convergence, verdicts }
    }

    #[test]
    fn only_a_fault_that_bit_and_promises_that_held_pass() {
        assert_eq!(report(CartMerge::Crdt, |_| {}).outcome(), Outcome::Passed);
        let failed = report(CartMerge::Crdt, |examined| examined.require(false, || "an add is gone".to_owned()));
        assert_eq!(failed.outcome(), Outcome::Failed);
        assert!(failed.to_string().contains("LOSSLESS: an add is gone"), "{failed}");
        let idle = report(CartMerge::Crdt, |examined| examined.cannot_tell("nothing was cut"));
        assert_eq!(idle.outcome(), Outcome::Inconclusive);
        assert!(idle.to_string().contains("nothing was cut"), "{idle}");
    }

    #[test]
    fn a_sabotaged_cart_that_nobody_noticed_is_no_success() {
        let unnoticed = report(CartMerge::LastWriterWins, |_| {});
        assert_eq!(unnoticed.outcome(), Outcome::Inconclusive);
        assert!(unnoticed.to_string().contains("no verdict noticed"), "{unnoticed}");
        let noticed = report(CartMerge::LastWriterWins, |examined| examined.require(false, String::new));
        assert_eq!(noticed.outcome(), Outcome::Failed);
    }

    #[test]
    fn a_report_says_how_long_it_took_and_what_never_came() {
        let text = report(CartMerge::Crdt, |_| {}).markdown();
        assert!(text.contains("had crossed                after 0.3 s"), "{text}");
        assert!(text.contains("all identical at once       never"), "{text}");
        assert!(text.contains("cut both ways for 12 s") && text.contains("# Drill: partition — PASSED"), "{text}");
    }
}
