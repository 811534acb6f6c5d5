//! Many seeds on all cores.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::coverage::Coverage;
use crate::sabotage::Sabotage;
use crate::{Failure, Micros, Report, Verdict, run};

/// What many runs went through together.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many there were.
    pub runs: u64,
    /// Those that failed.
    pub failures: Vec<Failure>,
    /// Steps of all.
    pub steps: u64,
    /// Orders of all.
    pub orders: u64,
    /// What they went through.
    pub coverage: Coverage,
    /// The slowest to settle, and its seed.
    pub slowest: (Micros, u64),
}

impl Tally {
    fn add(&mut self, seed: u64, outcome: Result<Report, Failure>) {
        self.runs += 1;
        match outcome {
            Ok(report) => {
                self.steps += report.steps;
                self.orders += report.orders;
                self.coverage.add(&report.coverage);
                self.slowest = self.slowest.max((report.settled_after, seed));
            }
            Err(failure) => self.failures.push(failure),
        }
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
            if seed >= seeds.end || tally.lock().unwrap_or_else(PoisonError::into_inner).failures.len() >= enough {
                return;
            }
            let outcome = run(seed, sabotage);
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.add(seed, outcome);
            progress(&tally);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(work);
        }
    });
    let mut tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.failures.sort_by_key(|failure| failure.seed);
    tally
}
