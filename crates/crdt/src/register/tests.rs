//! The register's laws, its meaning, and broken joins that must not pass them.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::*;

const REPLICAS: usize = 3;
type Register = MvRegister<u64>;
type Join = fn(&mut Register, &Register);

#[derive(Clone, Debug)]
enum Step {
    Assign { replica: usize, value: u64 },
    Clear { replica: usize },
    Sync { from: usize, to: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let replica = 0..REPLICAS;
    let step = prop_oneof![
        3 => (replica.clone(), 1_u64..5).prop_map(|(replica, value)| Step::Assign { replica, value }),
        1 => replica.clone().prop_map(|replica| Step::Clear { replica }),
        2 => (replica.clone(), replica).prop_map(|(from, to)| Step::Sync { from, to }),
    ];
    prop::collection::vec(step, 0..20)
}

/// What each replica has, and beside it the meaning: assignments seen, and those that one of them had seen.
#[derive(Clone, Default)]
struct Site {
    register: Register,
    context: CausalContext,
    seen: Vec<usize>,
}

#[derive(Default)]
struct History {
    sites: [Site; REPLICAS],
    /// Value (none for a clear), and the operations its author had seen.
    operations: Vec<(Option<u64>, Vec<usize>)>,
}

impl History {
    fn of(steps: &[Step], join: Join) -> Self {
        let mut history = Self::default();
        for step in steps {
            match *step {
                Step::Assign { replica, value } => history.operate(replica, Some(value), join),
                Step::Clear { replica } => history.operate(replica, None, join),
                Step::Sync { from, to } => {
                    let from = history.sites[from].clone();
                    let to = &mut history.sites[to];
                    join(&mut to.register, &from.register);
                    to.context.join(&from.context);
                    to.seen.extend(from.seen);
                }
            }
        }
        history
    }

    fn operate(&mut self, at: usize, value: Option<u64>, join: Join) {
        let (site, replica) = (&mut self.sites[at], ReplicaId(at as u8 + 1));
        let assignment = match value {
            Some(value) => site.register.assign(&site.context, replica, value).unwrap(),
            None => site.register.clear(&site.context, replica).unwrap(),
        };
        join(&mut site.register, &assignment.register);
        site.context.join(&assignment.context);
        self.operations.push((value, site.seen.clone()));
        site.seen.push(self.operations.len() - 1);
    }

    /// The values that no operation seen here had seen.
    fn meant(&self, at: usize) -> Vec<u64> {
        let seen = &self.sites[at].seen;
        let replaced = |operation: &usize| seen.iter().any(|&later| self.operations[later].1.contains(operation));
        let mut standing: Vec<usize> = seen.iter().copied().filter(|operation| !replaced(operation)).collect();
        standing.sort_unstable();
        standing.dedup();
        let mut values: Vec<u64> = standing.into_iter().filter_map(|operation| self.operations[operation].0).collect();
        values.sort_unstable();
        values
    }
}

fn joined(left: &Register, right: &Register, join: Join) -> Register {
    let mut register = left.clone();
    join(&mut register, right);
    register
}

fn is_a_lattice(steps: &[Step], join: Join) -> Result<(), TestCaseError> {
    let history = History::of(steps, join);
    let [a, b, c] = &history.sites.map(|site| site.register);
    prop_assert_eq!(joined(a, b, join), joined(b, a, join), "commutative");
    let (left, right) = (joined(&joined(a, b, join), c, join), joined(a, &joined(b, c, join), join));
    prop_assert_eq!(left, right, "associative");
    prop_assert_eq!(&joined(a, a, join), a, "idempotent");
    let above = joined(a, b, join);
    prop_assert_eq!(&joined(a, &above, join), &above, "monotone");
    Ok(())
}

fn shows_what_was_meant(steps: &[Step], join: Join) -> Result<(), TestCaseError> {
    let history = History::of(steps, join);
    for (at, site) in history.sites.iter().enumerate() {
        let mut values: Vec<u64> = site.register.values().copied().collect();
        values.sort_unstable();
        prop_assert_eq!(values, history.meant(at), "replica {}", at);
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config::with_cases(1_000))]

    #[test]
    fn prop_join_is_a_lattice(steps in steps()) {
        is_a_lattice(&steps, Register::join)?;
    }

    #[test]
    fn prop_what_stands_is_what_nobody_has_seen_and_replaced(steps in steps()) {
        shows_what_was_meant(&steps, Register::join)?;
    }
}

/// Theirs stands, also over a later one of ours.
fn join_taking_theirs(register: &mut Register, other: &Register) {
    register.latest.extend(other.latest.clone());
}

/// Ours stays, also under their later one.
fn join_keeping_ours(register: &mut Register, other: &Register) {
    for (replica, theirs) in &other.latest {
        register.latest.entry(*replica).or_insert_with(|| theirs.clone());
    }
}

/// What was replaced comes back from wherever it still stands: a lattice, only the other way round.
fn join_reviving(register: &mut Register, other: &Register) {
    for (replica, theirs) in &other.latest {
        let ours = register.latest.entry(*replica).or_insert_with(|| theirs.clone());
        if ours.counter < theirs.counter || (ours.counter == theirs.counter && matches!(theirs.fate, Fate::Stands(_))) {
            ours.clone_from(theirs);
        }
    }
}

/// Last writer wins: a lattice like any other, and one sibling is lost without a word.
fn join_last_writer_wins(register: &mut Register, other: &Register) {
    register.join(other);
    let stands = |latest: &&mut Latest<u64>| matches!(latest.fate, Fate::Stands(_));
    let mut standing: Vec<_> = register.latest.values_mut().filter(stands).collect();
    standing.sort_by_key(|latest| latest.counter);
    standing.pop();
    standing.into_iter().for_each(|latest| latest.fate = Fate::Replaced);
}

#[test]
fn each_broken_join_is_caught_and_shrunk() {
    type Suite = fn(&[Step], Join) -> Result<(), TestCaseError>;
    let broken: [(&str, Suite, Join); 4] = [
        ("takes theirs", is_a_lattice, join_taking_theirs),
        ("revives what was replaced", shows_what_was_meant, join_reviving),
        ("keeps ours", shows_what_was_meant, join_keeping_ours),
        ("last writer wins", shows_what_was_meant, join_last_writer_wins),
    ];
    for (what, suite, join) in broken {
        let config = Config { failure_persistence: None, cases: 1_000, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let caught = runner.run(&steps(), |steps| suite(&steps, join));
        let Err(TestError::Fail(_, shrunk)) = caught else { panic!("{what}: passed its suite: {caught:?}") };
        assert!(shrunk.len() <= 3, "{what}: not shrunk: {shrunk:?}");
    }
}

#[test]
fn concurrent_addresses_stay_until_the_shopper_chooses() {
    let (east, west) = (ReplicaId(1), ReplicaId(2));
    let empty = MvRegister::default();
    let Assignment { mut register, mut context } = empty.assign(&CausalContext::new(), east, "Elm Street").unwrap();
    let other = empty.assign(&CausalContext::new(), west, "Oak Lane").unwrap();
    register.join(&other.register);
    context.join(&other.context);
    assert_eq!(register.values().collect::<Vec<_>>(), [&"Elm Street", &"Oak Lane"]);

    let choice = register.assign(&context, west, "Oak Lane").unwrap();
    register.join(&choice.register);
    assert_eq!(register.values().collect::<Vec<_>>(), [&"Oak Lane"]);
    // What was chosen against does not come back, however late its first delta arrives.
    register.join(&other.register);
    assert_eq!(register.values().collect::<Vec<_>>(), [&"Oak Lane"]);
}
