//! One request of one customer is one intention, also when both regions made an order of it while they could not talk. Pure.

use ids::OrderId;

use super::Fate;

/// What is to be done about two orders of one intention, as the region of `ours` sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One of them is not decided yet: look again.
    Wait,
    /// Nothing: ours stands, or the other one came to nothing.
    Keep,
    /// The other one stands and answers the request; ours is undone if it has done anything.
    Undo,
}

/// Judges two orders of one intention. Both regions judge alike, as both compare the same two ids: the lesser one was made first
/// by the clocks of those who made them, and stands. An order that was cancelled since counts as one that stood. One that came to
/// nothing gives way to one that was placed, so that the request has one answer wherever it is repeated.
pub fn judge((ours, our_fate): (OrderId, Fate), (theirs, their_fate): (OrderId, Fate)) -> Verdict {
    match (our_fate, their_fate) {
        (_, Fate::Ended) => Verdict::Keep,
        (Fate::Undecided, _) | (_, Fate::Undecided) => Verdict::Wait,
        (Fate::Ended, Fate::Placed) => Verdict::Undo,
        (Fate::Placed, Fate::Placed) if ours > theirs => Verdict::Undo,
        (Fate::Placed, Fate::Placed) => Verdict::Keep,
    }
}

#[cfg(test)]
mod tests {
    use ids::Region;

    use super::*;

    const FATES: [Fate; 3] = [Fate::Undecided, Fate::Placed, Fate::Ended];

    #[test]
    fn of_two_that_stand_exactly_the_later_is_undone() {
        let east = OrderId::generate_in(Region::East);
        let west = OrderId::generate_in(Region::West);
        let placed = Fate::Placed;
        let verdicts = (judge((east, placed), (west, placed)), judge((west, placed), (east, placed)));
        let expected = if east < west { (Verdict::Keep, Verdict::Undo) } else { (Verdict::Undo, Verdict::Keep) };
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn one_that_came_to_nothing_gives_way_whenever_it_was_made() {
        let [first, second] = [Region::East, Region::West].map(OrderId::generate_in);
        for (ended, placed) in [(first, second), (second, first)] {
            assert_eq!(judge((ended, Fate::Ended), (placed, Fate::Placed)), Verdict::Undo);
            assert_eq!(judge((placed, Fate::Placed), (ended, Fate::Ended)), Verdict::Keep);
        }
    }

    #[test]
    fn an_order_gives_way_to_none_that_came_to_nothing_or_may_yet() {
        let [first, second] = [Region::East, Region::West].map(OrderId::generate_in);
        for ours in FATES {
            for theirs in FATES {
                let verdict = judge((first.max(second), ours), (first.min(second), theirs));
                let gives_way = ours != Fate::Undecided && theirs == Fate::Placed;
                assert_eq!(verdict == Verdict::Undo, gives_way, "{ours:?} {theirs:?}");
            }
        }
    }
}
