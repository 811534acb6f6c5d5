//! Many seeds on all cores.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Micros;
use super::sabotage::Sabotage;
use super::world::{Failure, Report, Verdict, run};

/// What many runs went through together.
#[derive(Debug, Default)]
pub struct Tally {
    pub runs: u64,
    pub failures: Vec<Failure>,
    pub sum: Report,
    /// Slowest convergence, and its seed.
    pub slowest: (Micros, u64),
}

impl Tally {
    fn add(&mut self, seed: u64, outcome: Result<Report, Failure>) {
        self.runs += 1;
        let report = match outcome {
            Ok(report) => report,
            Err(failure) => return self.failures.push(failure),
        };
        let sum = &mut self.sum;
        sum.events += report.events;
        sum.edits += report.edits;
        sum.lost += report.lost;
        sum.duplicated += report.duplicated;
        sum.crashes += report.crashes;
        sum.cuts += report.cuts;
        sum.restores += report.restores;
        sum.lost_entries += report.lost_entries;
        sum.repairs += report.repairs;
        sum.views += report.views;
        sum.unjudged += report.unjudged;
        sum.gone_with_a_disk += report.gone_with_a_disk;
        self.slowest = self.slowest.max((report.converged_after, seed));
    }

    /// How often each guarantee failed.
    pub fn verdicts(&self) -> BTreeMap<Verdict, usize> {
        let mut verdicts = BTreeMap::new();
        self.failures.iter().for_each(|failure| *verdicts.entry(failure.verdict).or_default() += 1);
        verdicts
    }
}

/// Runs all `seeds`; `progress` hears the tally after each. Stops when `enough` failures are found.
pub fn run_all(
    seeds: Range<u64>,
    sabotage: Option<Sabotage>,
    enough: usize,
    progress: impl Fn(&Tally) + Sync,
) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let tally = Mutex::new(Tally::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || tally.lock().expect("no run panics holding it").failures.len() >= enough {
                return;
            }
            let outcome = run(seed, sabotage);
            let mut tally = tally.lock().expect("no run panics holding it");
            tally.add(seed, outcome);
            progress(&tally);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    let mut tally = tally.into_inner().expect("no run panics holding it");
    tally.failures.sort_by_key(|failure| failure.seed);
    tally
}
