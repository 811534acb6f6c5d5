//! Which entries of a line count, and for how many units.

use std::collections::BTreeMap;

use crate::bands::Denominated;
use crate::contribution::{Contribution, Kind};
use crate::dot::Dot;
use crate::dot_fun::DotFun;

/// A live set: its dot, live units, the sets that it stands on, and itself.
type LiveSet<'a, S> = (Dot, u64, &'a [Dot], &'a Contribution<S>);

/// All live adds, and the heaviest sets that stand on one another.
///
/// Two sets of which neither saw the other compete, and the larger counts. A set whose author was shown nothing of an earlier one, because an
/// undecided checkout hid it, stands on top of that one: both count, should both be live. So the sets are a partial order, and what
/// counts is its heaviest chain. Without open checkouts a chain is one set.
///
/// Sets compete within their denomination only: five at so many cents and three at so many yen are no two answers to one question, so the
/// shopper is shown both.
pub(crate) fn counted<S: Denominated>(entries: &DotFun<Contribution<S>>) -> Vec<(Dot, &Contribution<S>)> {
    let mut counted = Vec::new();
    let mut sets: BTreeMap<_, Vec<LiveSet<'_, S>>> = BTreeMap::new();
    for (dot, entry) in entries.iter() {
        match (&entry.kind, entry.live_units()) {
            (_, None) => {}
            (Kind::Add, Some(_)) => counted.push((dot, entry)),
            (Kind::Set { atop }, Some(units)) => {
                let denomination = entry.bands.runs().first().map(|(_, snapshot)| snapshot.denomination());
                sets.entry(denomination).or_default().push((dot, units, atop, entry));
            }
        }
    }
    sets.values().for_each(|sets| heaviest_chain(sets, &mut counted));
    counted
}

fn heaviest_chain<'a, S: Ord>(sets: &[LiveSet<'a, S>], counted: &mut Vec<(Dot, &'a Contribution<S>)>) {
    let mut below = vec![Below::Unknown; sets.len()];
    let weights: Vec<u64> = (0..sets.len()).map(|at| weigh(sets, at, &mut below)).collect();
    let mut next = heavier(sets, &weights, 0..sets.len());
    // No longer than there are sets, whatever a peer has made up.
    for _ in 0..sets.len() {
        let Some(at) = next else { return };
        let (dot, _, _, entry) = sets[at];
        counted.push((dot, entry));
        next = match below[at] {
            Below::Known(next, _) => next,
            Below::Unknown | Below::Weighing => None,
        };
    }
}

/// What a set stands on.
#[derive(Clone, Copy)]
enum Below {
    Unknown,
    /// Under way. To come here again means a circle, which honest replicas do not make; it is cut at this place, the same everywhere.
    Weighing,
    /// The heaviest one, and the weight of the chain from here down.
    Known(Option<usize>, u64),
}

fn weigh<S: Ord>(sets: &[LiveSet<'_, S>], at: usize, below: &mut [Below]) -> u64 {
    match below[at] {
        Below::Known(_, weight) => return weight,
        Below::Weighing => return 0,
        Below::Unknown => below[at] = Below::Weighing,
    }
    let (_, units, atop, _) = sets[at];
    let mut weights = vec![0; sets.len()];
    let mut standing = Vec::new();
    for dot in atop {
        if let Ok(under) = sets.binary_search_by_key(dot, |(dot, ..)| *dot)
            && !matches!(below[under], Below::Weighing)
        {
            weights[under] = weigh(sets, under, below);
            standing.push(under);
        }
    }
    let heaviest = heavier(sets, &weights, standing);
    let weight = units.saturating_add(heaviest.map_or(0, |under| weights[under]));
    below[at] = Below::Known(heaviest, weight);
    weight
}

/// The heaviest of `those`; of equal ones that with the lesser snapshots, then the lesser dot.
fn heavier<S: Ord>(sets: &[LiveSet<'_, S>], weights: &[u64], those: impl IntoIterator<Item = usize>) -> Option<usize> {
    those.into_iter().min_by(|&one, &other| {
        let by_weight = weights[other].cmp(&weights[one]);
        by_weight
            .then_with(|| sets[one].3.bands.cmp(&sets[other].3.bands))
            .then_with(|| sets[one].0.cmp(&sets[other].0))
    })
}
