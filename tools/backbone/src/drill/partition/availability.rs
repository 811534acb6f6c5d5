//! AVAILABLE: each region answered its writers at all times, the cut included. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use ids::Region;
use serde::Serialize;

use super::writers::{Outcome, Written};
use crate::audit::report::Examined;
use crate::load::latency::{Latencies, Percentiles};

/// A part of the drill; a write belongs to the one it was due in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the cut.
    Before,
    /// Under the cut.
    Cut,
    /// After the heal.
    After,
}

impl Phase {
    /// In their order.
    pub const ALL: [Self; 3] = [Self::Before, Self::Cut, Self::After];

    /// The phase of a moment, given when the link was cut and healed.
    pub fn of(moment: Duration, cut: Duration, heal: Duration) -> Self {
        if moment < cut {
            Self::Before
        } else if moment < heal {
            Self::Cut
        } else {
            Self::After
        }
    }

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Cut => "cut",
            Self::After => "after",
        }
    }
}

/// How one region answered in one phase.
#[derive(Clone, Debug, Serialize)]
pub struct Answers {
    /// When.
    pub phase: Phase,
    /// Where.
    pub region: Region,
    /// Writes acknowledged.
    pub acknowledged: usize,
    /// Sets of a line that somebody had removed: rightly refused.
    pub nothing_to_set: usize,
    /// Answers that were none, by reason; a repeat counts again.
    pub errors: BTreeMap<String, usize>,
    /// From when a write was due to its answer.
    pub latency: Percentiles,
}

/// All answers, by phase and region. `cut` and `heal`: from the drill's beginning.
pub fn answers(written: &[Written], cut: Duration, heal: Duration) -> Vec<Answers> {
    let cells = Phase::ALL.into_iter().flat_map(|phase| Region::ALL.map(|region| (phase, region)));
    cells
        .map(|(phase, region)| {
            let within = |one: &&Written| one.region == region && Phase::of(one.arrival.due, cut, heal) == phase;
            let (latencies, mut errors) = (Latencies::default(), BTreeMap::new());
            let (mut acknowledged, mut nothing_to_set) = (0, 0);
            for one in written.iter().filter(within) {
                latencies.record(one.latency);
                acknowledged += usize::from(matches!(one.outcome, Outcome::Acknowledged(_)));
                nothing_to_set += usize::from(matches!(one.outcome, Outcome::NothingToSet));
                for (reason, count) in &one.errors {
                    *errors.entry(reason.clone()).or_default() += count;
                }
            }
            Answers { phase, region, acknowledged, nothing_to_set, errors, latency: latencies.percentiles() }
        })
        .collect()
}

/// Whether every region acknowledged writes in every phase, and no answer was an error.
pub fn available(answers: &[Answers]) -> Examined {
    let mut examined = Examined::default();
    for Answers { phase, region, acknowledged, errors, .. } in answers {
        examined.count(*acknowledged, "writes acknowledged");
        if *phase == Phase::Cut {
            examined.count(*acknowledged, "of them under the cut");
        }
        let phase = phase.name();
        examined.require(*acknowledged > 0, || format!("{region}, {phase}: no write was acknowledged"));
        for (reason, count) in errors {
            examined.require(false, || format!("{region}, {phase}: {count} answers were {reason}"));
        }
    }
    examined
}

#[cfg(test)]
mod tests {
    use super::super::plan::Arrival;
    use super::*;
    use crate::audit::report::{Verdict, conclude};
    use crate::shared_cart::{Kind, LineId, Past};

    fn written(region: Region, second: u64, outcome: Outcome) -> Written {
        let due = Duration::from_secs(second);
        let arrival = Arrival { due, line: LineId { cart: 0, offer: 0 }, kind: Kind::Add(1) };
        Written { arrival, region, outcome, errors: BTreeMap::new(), latency: Duration::from_millis(5) }
    }

    fn sound() -> Vec<Written> {
        let at = |second| Region::ALL.map(|region| written(region, second, Outcome::Acknowledged(Past::default())));
        [1, 5, 18].into_iter().flat_map(at).collect()
    }

    fn judged(written: &[Written]) -> (Verdict, Vec<String>) {
        let answers = answers(written, Duration::from_secs(4), Duration::from_secs(16));
        let finding = conclude("available", || Ok(available(&answers)));
        (finding.verdict, finding.offenders)
    }

    #[test]
    fn acknowledged_everywhere_at_all_times_is_available() {
        let mut all = sound();
        assert_eq!(judged(&all).0, Verdict::Ok);
        all.push(written(Region::East, 6, Outcome::NothingToSet));
        assert_eq!(judged(&all).0, Verdict::Ok);
    }

    #[test]
    fn one_error_is_one_too_many_and_silence_is_no_availability() {
        let mut all = sound();
        all[2].errors.insert("503 PEER_AWAY".to_owned(), 2);
        let (verdict, offenders) = judged(&all);
        assert_eq!((verdict, offenders), (Verdict::Failed, vec!["east, cut: 2 answers were 503 PEER_AWAY".to_owned()]));
        let mut all = sound();
        all.remove(3);
        let (verdict, offenders) = judged(&all);
        assert_eq!((verdict, offenders), (Verdict::Failed, vec!["west, cut: no write was acknowledged".to_owned()]));
    }
}
