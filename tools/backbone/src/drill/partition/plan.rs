//! What is asked of the carts and when: fixed before the first request is sent, from one seed. Pure.

use std::time::Duration;

use ids::Region;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::shared_cart::goods;
use crate::shared_cart::{Kind, LineId};

/// Units of an add, at most.
const ADD_UNITS_MAX: u64 = 5;
/// Units of a set, at most.
const SET_UNITS_MAX: u64 = 20;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// From the drill's beginning.
    pub due: Duration,
    /// Of which line.
    pub line: LineId,
    /// What.
    pub kind: Kind,
}

/// When what happens, from the drill's beginning. A fifth of the time before the cut, three fifths under it, a fifth after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// The link is cut.
    pub cut: Duration,
    /// It is healed.
    pub heal: Duration,
    /// No request is due any more.
    pub end: Duration,
}

impl Timeline {
    /// Of a drill of this length.
    pub fn of(duration: Duration) -> Self {
        Self { cut: duration / 5, heal: duration * 4 / 5, end: duration }
    }
}

/// The requests of one region: `rate` a second, evenly spaced, three quarters of them adds, each of a line drawn at random.
pub fn arrivals(seed: u64, region: Region, rate: u32, carts: usize, end: Duration) -> Vec<Arrival> {
    let mut random = StdRng::seed_from_u64(seed ^ (u64::from(region.replica()) << 56));
    let interval = Duration::from_secs(1) / rate.max(1);
    // Half an interval apart from the other region's, which a tie would favour.
    let first = if region == Region::East { Duration::ZERO } else { interval / 2 };
    let due = |number: u32| first + interval * number;
    (0..u32::MAX)
        .map(due)
        .take_while(|due| *due < end)
        .map(|due| {
            let line =
                LineId { cart: random.random_range(0..carts.max(1)), offer: random.random_range(0..goods::LINES) };
            Arrival { due, line, kind: kind(&mut random) }
        })
        .collect()
}

/// 75 of 100 are adds, 15 sets, 10 removals.
fn kind(random: &mut StdRng) -> Kind {
    match random.random_range(0..100) {
        0..75 => Kind::Add(random.random_range(1..=ADD_UNITS_MAX)),
        75..90 => Kind::Set(random.random_range(1..=SET_UNITS_MAX)),
        _ => Kind::Remove,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn arrivals_follow_from_the_seed_and_keep_their_rate() {
        let east = arrivals(7, Region::East, 50, 10, MINUTE);
        assert_eq!(east, arrivals(7, Region::East, 50, 10, MINUTE));
        assert_ne!(east, arrivals(8, Region::East, 50, 10, MINUTE));
        let west = arrivals(7, Region::West, 50, 10, MINUTE);
        assert_eq!((east.len(), west.len()), (3_000, 3_000));
        assert!(east.iter().zip(&west).all(|(east, west)| east.due < west.due && west.due < MINUTE));
        assert!(east.iter().zip(&west).any(|(east, west)| east.kind != west.kind));
    }

    #[test]
    fn every_line_is_written_in_every_way() {
        let all = arrivals(1, Region::West, 100, 2, MINUTE);
        let count = |wanted: fn(&Kind) -> bool| all.iter().filter(|arrival| wanted(&arrival.kind)).count();
        let adds = count(|kind| matches!(kind, Kind::Add(1..=ADD_UNITS_MAX)));
        let sets = count(|kind| matches!(kind, Kind::Set(1..=SET_UNITS_MAX)));
        assert!((4_200..4_800).contains(&adds) && (700..1_100).contains(&sets), "{adds} {sets}");
        assert_eq!(adds + sets + count(|kind| *kind == Kind::Remove), 6_000);
        for line in (0..2).flat_map(|cart| (0..goods::LINES).map(move |offer| LineId { cart, offer })) {
            assert!(all.iter().any(|arrival| arrival.line == line));
        }
    }

    #[test]
    fn the_cut_takes_three_fifths() {
        let timeline = Timeline::of(Duration::from_secs(20));
        let seconds = [timeline.cut, timeline.heal, timeline.end].map(|at| at.as_secs());
        assert_eq!(seconds, [4, 16, 20]);
    }
}
