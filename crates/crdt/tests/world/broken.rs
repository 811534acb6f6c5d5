//! Joins that are deliberately wrong, each in a way that a real implementation once was or could be. No suite may pass with one.

use std::collections::BTreeMap;

use crdt::codec::{FORMAT_VERSION, Wire, decode_line};
use crdt::{CausalContext, Contribution, Dot, Kind, Line};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::{Change, Item, Joins, Price, REAL, State, Step, steps};

type Entries = BTreeMap<Dot, Contribution<Price>>;
pub type Suite = fn(&[Step], Joins) -> Result<(), TestCaseError>;

/// How long a history may still be once it is shrunk; they begin with up to 40 steps.
const SHRUNK_STEPS_MAX: usize = 8;

/// Runs `suite` with `joins` and checks that it fails, on a history that shrinks to something a person can read.
pub fn is_caught(what: &str, suite: Suite, (replicas, deltas): (usize, bool), joins: Joins) {
    let caught = runner().run(&steps(replicas, deltas), |steps| suite(&steps, joins));
    let Err(TestError::Fail(_, shrunk)) = caught else { panic!("{what}: passed the suite: {caught:?}") };
    assert!(shrunk.len() <= SHRUNK_STEPS_MAX, "{what}: not shrunk: {shrunk:?}");
}

/// Always the same cases, so that whether something broken is caught is no matter of luck.
pub fn runner() -> TestRunner {
    let config = Config { failure_persistence: None, cases: 2_000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// A naive union: what was removed comes back.
pub const WITHOUT_CONTEXT: Joins = Joins {
    state: |state, other| {
        let blind = CausalContext::new();
        rejoin(state, other, |ours, theirs| ours.join(&blind, theirs, &blind));
    },
    ..REAL
};

/// Units under one dot sum instead of joining by maximum: a state that arrives twice counts twice.
pub const SUMMING: Joins = Joins {
    state: |state, other| {
        by_entry(state, other, |ours, theirs| {
            if ours.kind == Kind::Add {
                let price = theirs.bands.runs()[0].1;
                ours.bands.push(theirs.added(), price);
            }
        });
    },
    ..REAL
};

/// Under one dot ours stays, also when theirs has grown.
pub const KEEPING_OURS: Joins = Joins { state: |state, other| by_entry(state, other, |_, _| {}), ..REAL };

/// Anybody drops a spent entry, not its owner alone: what the owner added to it since goes with it.
pub const RETIRING_FOR_OTHERS: Joins = Joins {
    state: |state, other| {
        state.join(other);
        let lines: Vec<_> = state.lines().map(|(item, line)| (*item, line_of(live_entries(line)))).collect();
        *state = State::from_parts(state.context().clone(), lines).with_address(state.address().clone());
    },
    ..REAL
};

/// Takes the other's context for the union of both.
pub const TAKING_THEIR_CONTEXT: Joins = Joins {
    state: |state, other| {
        state.join(other);
        let lines: Vec<_> = state.lines().map(|(item, line)| (*item, line.clone())).collect();
        *state = State::from_parts(other.context().clone(), lines).with_address(state.address().clone());
    },
    ..REAL
};

/// Joins states, but not their addresses.
pub const FORGETTING_THE_ADDRESS: Joins = Joins {
    state: |state, other| {
        let ours = state.address().clone();
        state.join(other);
        *state = state.clone().with_address(ours);
    },
    ..REAL
};

/// Joins a delta's entries, but not what it removes.
pub const DELTA_WITHOUT_REMOVALS: Joins = Joins {
    delta: |state, delta| {
        let blind = CausalContext::new();
        let mut lines: BTreeMap<Item, Line<Price>> = state.lines().map(|(item, line)| (*item, line.clone())).collect();
        for (item, theirs) in &delta.lines {
            lines.entry(*item).or_default().join(state.context(), theirs, &blind);
        }
        state.join_delta(&Change { lines: BTreeMap::new(), ..delta.clone() });
        *state = State::from_parts(state.context().clone(), lines).with_address(state.address().clone());
    },
    ..REAL
};

/// Skips a delta whose dots were all seen: a cut names a dot that was taken long before, so it never takes effect.
pub const DELTA_SKIPPED_WHEN_SEEN: Joins = Joins {
    delta: |state, delta| {
        if !state.context().covers(&delta.context) {
            state.join_delta(delta);
        }
    },
    ..REAL
};

/// Takes a delta for the latest of its replica: what came before it counts as seen, though it may still be under way.
pub const DELTA_CLOSING_GAPS: Joins = Joins {
    delta: |state, delta| {
        let mut delta = delta.clone();
        for dot in delta.context.cloud().to_vec() {
            (1..dot.counter).for_each(|counter| delta.context.insert(Dot::new(dot.replica, counter)));
        }
        state.join_delta(&delta);
    },
    ..REAL
};

fn rejoin(state: &mut State, other: &State, mut join: impl FnMut(&mut Line<Price>, &Line<Price>)) {
    let mut lines: BTreeMap<Item, Line<Price>> = state.lines().map(|(item, line)| (*item, line.clone())).collect();
    for (item, line) in other.lines() {
        join(lines.entry(*item).or_default(), line);
    }
    let mut context = state.context().clone();
    context.join(other.context());
    let mut address = state.address().clone();
    address.join(other.address());
    *state = State::from_parts(context, lines).with_address(address);
}

/// The real join, but for entries under one dot on both sides, which `under_one_dot` joins.
fn by_entry(state: &mut State, other: &State, under_one_dot: fn(&mut Contribution<Price>, &Contribution<Price>)) {
    let before: BTreeMap<Item, Entries> = state.lines().map(|(item, line)| (*item, entries(line))).collect();
    state.join(other);
    let mut lines = Vec::new();
    for (item, line) in state.lines() {
        let mut joined = entries(line);
        let both = before.get(item).into_iter().flatten();
        for (dot, ours) in both {
            let Some((_, theirs)) = other.lines().find(|(their_item, _)| *their_item == item) else { continue };
            if let (Some(entry), Some(theirs)) = (joined.get_mut(dot), entries(theirs).get(dot)) {
                entry.clone_from(ours);
                under_one_dot(entry, theirs);
            }
        }
        lines.push((*item, line_of(joined)));
    }
    *state = State::from_parts(state.context().clone(), lines).with_address(state.address().clone());
}

fn entries(line: &Line<Price>) -> Entries {
    line.entries().map(|(dot, contribution)| (dot, contribution.clone())).collect()
}

fn live_entries(line: &Line<Price>) -> Entries {
    entries(line).into_iter().filter(|(_, contribution)| contribution.live_units().is_some()).collect()
}

/// A line of any entries, which no operation makes: by way of its bytes.
fn line_of(entries: Entries) -> Line<Price> {
    let mut bytes = vec![FORMAT_VERSION];
    (entries.len() as u64).write(&mut bytes);
    for (dot, contribution) in entries {
        dot.write(&mut bytes);
        contribution.write(&mut bytes);
    }
    decode_line(&bytes).unwrap()
}
