//! What to do when local rights do not cover an order.

use std::collections::{BTreeMap, BTreeSet};

use ids::OfferId;

use super::{Line, Lines};

/// A line that cannot be sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortLine {
    /// The offer.
    pub offer_id: OfferId,
    /// Units ordered.
    pub wanted: i64,
    /// Units that both regions together could still give, as far as is known here.
    pub left: i64,
}

/// What comes next for an order that could not be reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextStep {
    /// The units are there after all: another order gave some back meanwhile.
    ReserveAgain,
    /// Ask the other region for these units: exactly what is missing, so that it keeps what it can sell itself.
    Ask(Lines),
    /// Neither region has them.
    Refuse(Vec<ShortLine>),
}

/// Decides from what is `available` here (an offer that is absent has none) and from the offers that the other region just
/// said it has no more of (`exhausted_there`).
///
/// An order that is short of an exhausted offer is refused without asking for the rest of it.
pub fn next_step(wanted: &Lines, available: &BTreeMap<OfferId, i64>, exhausted_there: &BTreeSet<OfferId>) -> NextStep {
    let left = |line: &Line| available.get(&line.offer_id).copied().unwrap_or(0);
    let short: Vec<&Line> = wanted.iter().filter(|line| left(line) < line.units).collect();
    if short.iter().any(|line| exhausted_there.contains(&line.offer_id)) {
        // A line that is short here but that the other region granted in full was sold to someone else since; it may have
        // more, so it is not reported as out of stock.
        let refused = short.into_iter().filter(|line| exhausted_there.contains(&line.offer_id));
        return NextStep::Refuse(
            refused
                .map(|line| ShortLine { offer_id: line.offer_id.clone(), wanted: line.units, left: left(line) })
                .collect(),
        );
    }
    let missing = short
        .into_iter()
        .map(|line| Line { offer_id: line.offer_id.clone(), units: line.units - left(line) })
        .collect();
    Lines::from_sorted(missing).map_or(NextStep::ReserveAgain, NextStep::Ask)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offer(id: &str) -> OfferId {
        id.parse().unwrap()
    }

    fn lines(lines: &[(&str, i64)]) -> Lines {
        Lines::parse(lines.iter().copied()).unwrap()
    }

    fn available(levels: &[(&str, i64)]) -> BTreeMap<OfferId, i64> {
        levels.iter().map(|(id, units)| (offer(id), *units)).collect()
    }

    #[test]
    fn asks_for_exactly_what_is_missing_of_all_short_lines_at_once() {
        let step =
            next_step(&lines(&[("a", 5), ("b", 5), ("c", 5)]), &available(&[("a", 2), ("b", 9)]), &BTreeSet::new());
        assert_eq!(step, NextStep::Ask(lines(&[("a", 3), ("c", 5)])));
    }

    #[test]
    fn refuses_with_what_is_left_once_the_other_region_has_no_more() {
        let step =
            next_step(&lines(&[("a", 5), ("b", 5)]), &available(&[("a", 3), ("b", 1)]), &BTreeSet::from([offer("a")]));
        assert_eq!(step, NextStep::Refuse(vec![ShortLine { offer_id: offer("a"), wanted: 5, left: 3 }]));
    }

    #[test]
    fn an_exhausted_offer_that_came_back_here_is_no_reason_to_refuse() {
        let step = next_step(&lines(&[("a", 5)]), &available(&[("a", 5)]), &BTreeSet::from([offer("a")]));
        assert_eq!(step, NextStep::ReserveAgain);
    }

    proptest! {
        #[test]
        fn prop_what_is_asked_for_is_exactly_enough(
            wanted in prop::collection::btree_map("[a-z]", 1..100_i64, 1..10),
            held in prop::collection::btree_map("[a-z]", 0..100_i64, 0..10),
        ) {
            let wanted = Lines::parse(wanted.iter().map(|(id, units)| (id.as_str(), *units))).unwrap();
            let mut held: BTreeMap<_, _> = held.into_iter().map(|(id, units)| (offer(&id), units)).collect();
            if let NextStep::Ask(missing) = next_step(&wanted, &held, &BTreeSet::new()) {
                for line in missing.iter() {
                    let level = held.entry(line.offer_id.clone()).or_default();
                    *level += line.units;
                    let needed = wanted.iter().find(|wanted| wanted.offer_id == line.offer_id).unwrap().units;
                    prop_assert_eq!(*level, needed);
                }
            }
            prop_assert_eq!(next_step(&wanted, &held, &BTreeSet::new()), NextStep::ReserveAgain);
        }
    }
}
