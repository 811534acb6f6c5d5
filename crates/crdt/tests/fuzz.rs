//! The fuzz targets' properties without a fuzzer: over their corpus, and over damaged deltas of honest replicas. A few thousand cases
//! belong to the normal tests; `make fuzz SECONDS=…` goes on for as long as one likes. With a nightly compiler and cargo-fuzz,
//! `cargo +nightly fuzz run join` (or `decode`) in this crate's folder lets libFuzzer look for cases by coverage.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

#[path = "../fuzz/properties.rs"]
mod properties;

use std::path::Path;
use std::time::{Duration, Instant};

use crdt::codec::{encode_cart, encode_delta};
use crdt::{Cart, ReplicaId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Cases in the normal tests: about two seconds.
const CASES: u32 = 3_000;

/// What an honest peer does: by which replica, to which of three items, and how.
type Edit = (u8, u8, u8);

#[derive(Clone, Debug)]
enum Damage {
    Flip(u8),
    Insert(u8),
    Remove,
    /// Repeats what is there, as a list that is longer than it says.
    Double(u8),
    Truncate,
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((2_u8..5, 0_u8..3, 0_u8..8), 0..12);
    let damage = prop_oneof![
        4 => (1_u8..).prop_map(Damage::Flip),
        2 => any::<u8>().prop_map(Damage::Insert),
        2 => Just(Damage::Remove),
        1 => (1_u8..40).prop_map(Damage::Double),
        1 => Just(Damage::Truncate),
    ];
    let damages = prop::collection::vec((any::<prop::sample::Index>(), damage), 0..4);
    (edits, damages).prop_map(|(edits, damages)| {
        let mut input = honest(&edits);
        damages.iter().for_each(|(at, damage)| inflict(&mut input, at, damage));
        input
    })
}

/// The deltas of these edits and the state after them, each behind its length.
fn honest(edits: &[Edit]) -> Vec<u8> {
    let mut state: Cart<String, u64, String> = Cart::default();
    let mut input = Vec::new();
    let mut ship = |bytes: Vec<u8>| {
        if let Ok(length) = u8::try_from(bytes.len()) {
            input.push(length);
            input.extend(bytes);
        }
    };
    for &(replica, item, what) in edits {
        let (replica, item) = (ReplicaId(replica), char::from(b'a' + item).to_string());
        let deltas = match what {
            0..=2 => vec![state.add(replica, item, u64::from(what) + 1, 100).unwrap()],
            3 => vec![state.set(replica, item, 200, 100).unwrap()],
            4 => vec![state.remove(replica, item).unwrap()],
            5 => vec![state.assign_address(replica, item).unwrap()],
            6 => vec![state.cut(replica).unwrap().1],
            _ => state.retire(replica),
        };
        deltas.iter().for_each(|delta| ship(encode_delta(delta)));
    }
    ship(encode_cart(&state));
    input
}

fn inflict(input: &mut Vec<u8>, at: &prop::sample::Index, damage: &Damage) {
    if input.is_empty() {
        return;
    }
    let at = at.index(input.len());
    match damage {
        Damage::Flip(bits) => input[at] ^= bits,
        Damage::Insert(byte) => input.insert(at, *byte),
        Damage::Remove => drop(input.remove(at)),
        Damage::Double(count) => {
            let end = (at + usize::from(*count)).min(input.len());
            let chunk = input[at..end].to_vec();
            input.splice(at..at, chunk);
        }
        Damage::Truncate => input.truncate(at),
    }
}

#[test]
fn no_damaged_delta_does_harm() {
    let seconds = std::env::var("FUZZ_SECONDS").ok().map_or(0, |seconds| seconds.parse().unwrap());
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let mut runs = 0;
    while runs == 0 || Instant::now() < deadline {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        let run = TestRunner::new(config).run(&damaged(), |input| {
            properties::join(&input);
            // The first delta by itself, with and without its length.
            properties::decode(&input);
            properties::decode(input.get(1..).unwrap_or_default());
            let first = usize::from(input.first().copied().unwrap_or(0));
            properties::decode(input.get(1..=first).unwrap_or_default());
            Ok(())
        });
        run.unwrap_or_else(|failure| panic!("{failure}"));
        runs += 1;
    }
}

/// Inputs that the fuzzer found worth keeping: each takes a way through the code that no other takes.
#[test]
fn the_corpus_does_no_harm() {
    for (target, property) in [("decode", properties::decode as fn(&[u8])), ("join", properties::join)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
        assert!(!files.is_empty(), "no corpus in {}", folder.display());
        files.iter().for_each(|file| property(&std::fs::read(file).unwrap()));
    }
}
