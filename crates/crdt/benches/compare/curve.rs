//! How metadata grows with edits: two replicas edit twenty items and sync now and then.

use serde::Serialize;

use super::Measured;
use super::adds::Adds;
use super::counters::Counters;
use super::ours::Ours;
use super::tombstones::Tombstones;

const ITEMS: u64 = 20;
/// One edit in so many is a remove, the others add a unit.
const REMOVE_EVERY: u64 = 10;
/// Both replicas take in each other's state every so many edits, and before each measurement.
const SYNC_EVERY: u64 = 500;
const MEASURED_AT: [u64; 5] = [10, 100, 1_000, 10_000, 100_000];

/// One cart after so many edits.
#[derive(Serialize)]
pub struct Point {
    cart: &'static str,
    edits: u64,
    /// Of one replica's whole state, encoded.
    bytes: usize,
    entries: usize,
}

pub fn measure() -> Vec<Point> {
    [curve::<Ours>(), curve::<Counters>(), curve::<Adds>(), curve::<Tombstones>()].into_iter().flatten().collect()
}

fn curve<C: Measured>() -> Vec<Point> {
    let mut replicas = [C::default(), C::default()];
    let mut points = Vec::new();
    for edit in 1..=100_000 {
        let at = (edit % 2) as usize;
        let (replica, number) = (at as u8 + 1, scramble(edit));
        let item = format!("seller.offer-{:06}", number % ITEMS);
        if scramble(number).is_multiple_of(REMOVE_EVERY) {
            replicas[at].remove(replica, &item);
        } else {
            replicas[at].add(replica, &item, 1);
        }
        let is_measured = MEASURED_AT.contains(&edit);
        if is_measured || edit.is_multiple_of(SYNC_EVERY) {
            sync(&mut replicas);
        }
        if is_measured {
            points.push(Point {
                cart: C::NAME,
                edits: edit,
                bytes: replicas[0].encode().len(),
                entries: replicas[0].entries(),
            });
        }
    }
    points
}

/// Both join, tidy up, and join again, so that each has seen what the other dropped.
fn sync<C: Measured>([east, west]: &mut [C; 2]) {
    for _ in 0..2 {
        let mut before = east.clone();
        east.join(&mut west.clone());
        west.join(&mut before);
        east.tidy(1);
        west.tidy(2);
    }
}

/// SplitMix64's finaliser: the same edits in every run, in no pattern.
fn scramble(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
