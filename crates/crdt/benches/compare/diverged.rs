//! Two carts of a hundred lines that were one, and have been edited apart: join, encode, decode, and what one add costs on the wire.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use serde::Serialize;

use super::Measured;
use super::adds::Adds;
use super::counters::Counters;
use super::ours::Ours;

const LINES: u64 = 100;
/// The carts are measured in turn, so that what else the machine does hits all of them; the median of the rounds is reported.
const ROUNDS: usize = 200;
const CALLS_PER_ROUND: usize = 20;

/// By cart.
#[derive(Serialize)]
pub struct Figures {
    lines: u64,
    join_ns: BTreeMap<&'static str, f64>,
    /// The same join again, which finds nothing new: the walk alone.
    rejoin_ns: BTreeMap<&'static str, f64>,
    encode_ns: BTreeMap<&'static str, f64>,
    decode_ns: BTreeMap<&'static str, f64>,
    /// What an add ships: our delta, or their operation.
    add_bytes: BTreeMap<&'static str, usize>,
    state_bytes: BTreeMap<&'static str, usize>,
}

pub fn measure() -> Figures {
    check_that_they_agree();
    let mut timed = Timed::default();
    for _ in 0..ROUNDS {
        timed.round::<Ours>();
        timed.round::<Counters>();
        timed.round::<Adds>();
    }
    Figures {
        lines: LINES,
        join_ns: medians(timed.join_ns),
        rejoin_ns: medians(timed.rejoin_ns),
        encode_ns: medians(timed.encode_ns),
        decode_ns: medians(timed.decode_ns),
        add_bytes: [wire::<Ours>(), wire::<Counters>(), wire::<Adds>()].map(|(name, add, _)| (name, add)).into(),
        state_bytes: [wire::<Ours>(), wire::<Counters>(), wire::<Adds>()].map(|(name, _, state)| (name, state)).into(),
    }
}

#[derive(Default)]
struct Timed {
    join_ns: BTreeMap<&'static str, Vec<f64>>,
    rejoin_ns: BTreeMap<&'static str, Vec<f64>>,
    encode_ns: BTreeMap<&'static str, Vec<f64>>,
    decode_ns: BTreeMap<&'static str, Vec<f64>>,
}

impl Timed {
    fn round<C: Measured>(&mut self) {
        let (east, west) = diverged::<C>();
        let mut carts = vec![east; CALLS_PER_ROUND];
        let mut join_all = || {
            let mut others = vec![west.clone(); CALLS_PER_ROUND];
            nanoseconds(|call| carts[call].join(black_box(&mut others[call])))
        };
        let (join_ns, rejoin_ns) = (join_all(), join_all());
        self.join_ns.entry(C::NAME).or_default().push(join_ns);
        self.rejoin_ns.entry(C::NAME).or_default().push(rejoin_ns);
        let joined = &carts[0];
        let encode_ns = nanoseconds(|_| drop(black_box(joined.encode())));
        self.encode_ns.entry(C::NAME).or_default().push(encode_ns);
        let bytes = joined.encode();
        let decode_ns = nanoseconds(|_| drop(black_box(C::decode(&bytes))));
        self.decode_ns.entry(C::NAME).or_default().push(decode_ns);
    }
}

/// Of one call.
fn nanoseconds(mut call: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..CALLS_PER_ROUND).for_each(&mut call);
    start.elapsed().as_nanos() as f64 / CALLS_PER_ROUND as f64
}

fn medians(rounds: BTreeMap<&'static str, Vec<f64>>) -> BTreeMap<&'static str, f64> {
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    rounds.into_iter().map(|(name, values)| (name, median(values))).collect()
}

fn item(line: u64) -> String {
    format!("seller-{:02}.offer-{line:06}", line % 7)
}

/// A shared cart; then each side adds to half of its lines (a quarter on both sides), removes a few and adds a few new ones.
fn diverged<C: Measured>() -> (C, C) {
    let mut east = C::default();
    (0..LINES).for_each(|line| drop(east.add(1, &item(line), 2)));
    let mut west = C::default();
    west.join(&mut east.clone());
    for line in 0..LINES / 2 {
        east.add(1, &item(line), 1);
        west.add(2, &item(line + LINES / 4), 1);
    }
    for line in 0..LINES / 20 {
        east.remove(1, &item(LINES - 1 - line));
        west.remove(2, &item(LINES * 9 / 10 - 1 - line));
        east.add(1, &item(LINES + line), 1);
        west.add(2, &item(LINES * 2 + line), 1);
    }
    (east, west)
}

/// One more add to a cart of a hundred lines: what it ships, and the whole state after it.
fn wire<C: Measured>() -> (&'static str, usize, usize) {
    let (mut east, mut west) = diverged::<C>();
    east.join(&mut west);
    let shipped = east.add(1, &item(LINES / 2), 1).len();
    (C::NAME, shipped, east.encode().len())
}

/// What is compared must do the same: every line that nobody removed holds the same units, also after encoding and decoding.
fn check_that_they_agree() {
    fn joined<C: Measured>() -> C {
        let (mut east, mut west) = diverged::<C>();
        east.join(&mut west);
        C::decode(&east.encode())
    }
    let (ours, counters, adds) = (joined::<Ours>(), joined::<Counters>(), joined::<Adds>());
    for line in 0..LINES * 3 {
        let item = item(line);
        assert_eq!(adds.units(&item), ours.units(&item), "{item}, by adds");
        let was_removed = (LINES * 8 / 10..LINES).contains(&line);
        if !was_removed {
            assert_eq!(counters.units(&item), ours.units(&item), "{item}, by counters");
        }
    }
}
