//! A few replicas, the operations shoppers perform on them, and every delta they made, to deliver in any order.
#![allow(dead_code, reason = "each test file uses its own part of the world")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use crdt::{Cart, Delta, ReplicaId};
use proptest::prelude::*;

pub type Item = u64;
pub type Price = u64;
pub type State = Cart<Item, Price>;
pub type Change = Delta<Item, Price>;

#[derive(Clone, Debug)]
pub enum Step {
    Add {
        replica: usize,
        item: Item,
        quantity: u64,
        price: Price,
    },
    Set {
        replica: usize,
        item: Item,
        quantity: u64,
        price: Price,
    },
    Remove {
        replica: usize,
        item: Item,
    },
    Retire {
        replica: usize,
    },
    BeginCheckout {
        replica: usize,
    },
    /// Joins a checkout that was begun, at the replica where it was begun.
    PlaceOrder {
        checkout: prop::sample::Index,
    },
    /// Delivers any delta made so far, again and out of order if it comes so.
    Deliver {
        delta: prop::sample::Index,
        to: usize,
    },
    Sync {
        from: usize,
        to: usize,
    },
}

/// Steps of `replicas` replicas over three items; `deltas` says whether single deltas travel, or whole states only.
pub fn steps(replicas: usize, deltas: bool) -> impl Strategy<Value = Vec<Step>> {
    let (replica, item) = (0..replicas, 1_u64..4);
    let (quantity, price) = (1_u64..6, 1_u64..4);
    let step = prop_oneof![
        4 => (replica.clone(), item.clone(), quantity.clone(), price.clone())
            .prop_map(|(replica, item, quantity, price)| Step::Add { replica, item, quantity, price }),
        2 => (replica.clone(), item.clone(), quantity, price)
            .prop_map(|(replica, item, quantity, price)| Step::Set { replica, item, quantity, price }),
        2 => (replica.clone(), item).prop_map(|(replica, item)| Step::Remove { replica, item }),
        1 => replica.clone().prop_map(|replica| Step::Retire { replica }),
        1 => replica.clone().prop_map(|replica| Step::BeginCheckout { replica }),
        1 => any::<prop::sample::Index>().prop_map(|checkout| Step::PlaceOrder { checkout }),
        3 => (any::<prop::sample::Index>(), any::<bool>(), replica.clone(), replica).prop_map(
            move |(delta, whole, from, to)| if whole || !deltas { Step::Sync { from, to } } else { Step::Deliver { delta, to } }
        ),
    ];
    prop::collection::vec(step, 0..40)
}

pub struct Checkout {
    pub replica: usize,
    pub cut: Change,
}

pub struct World {
    pub states: Vec<State>,
    pub deltas: Vec<Change>,
    pub checkouts: Vec<Checkout>,
    join: fn(&mut State, &State),
}

impl World {
    pub fn new(replicas: usize) -> Self {
        Self::with_join(replicas, State::join)
    }

    /// A world whose whole-state join is `join`: how the suites are shown to bite.
    pub fn with_join(replicas: usize, join: fn(&mut State, &State)) -> Self {
        Self { states: vec![State::default(); replicas], deltas: Vec::new(), checkouts: Vec::new(), join }
    }

    pub fn after(replicas: usize, steps: &[Step]) -> Self {
        let mut world = Self::new(replicas);
        steps.iter().for_each(|step| world.perform(step));
        world
    }

    pub fn perform(&mut self, step: &Step) {
        match step {
            Step::Add { replica, item, quantity, price } => {
                let delta = self.states[*replica].add(id(*replica), *item, *quantity, *price).unwrap();
                self.deltas.push(delta);
            }
            Step::Set { replica, item, quantity, price } => {
                let delta = self.states[*replica].set(id(*replica), *item, *quantity, *price).unwrap();
                self.deltas.push(delta);
            }
            Step::Remove { replica, item } => {
                let delta = self.states[*replica].remove(id(*replica), *item).unwrap();
                self.deltas.push(delta);
            }
            Step::Retire { replica } => {
                let deltas = self.states[*replica].retire(id(*replica));
                self.deltas.extend(deltas);
            }
            Step::BeginCheckout { replica } => {
                let (operation, cut) = self.states[*replica].cut(id(*replica)).unwrap();
                let tick = Change::tick(operation);
                self.states[*replica].join_delta(&tick);
                self.deltas.push(tick);
                self.checkouts.push(Checkout { replica: *replica, cut });
            }
            Step::PlaceOrder { checkout } => {
                if !self.checkouts.is_empty() {
                    let checkout = checkout.get(&self.checkouts);
                    self.states[checkout.replica].join_delta(&checkout.cut);
                    self.deltas.push(checkout.cut.clone());
                }
            }
            Step::Deliver { delta, to } => {
                if !self.deltas.is_empty() && self.in_reach(delta.get(&self.deltas), *to) {
                    self.states[*to].join_delta(delta.get(&self.deltas));
                }
            }
            Step::Sync { from, to } => {
                let from = self.states[*from].clone();
                (self.join)(&mut self.states[*to], &from);
            }
        }
    }

    /// Every delta to every replica, in the order that `shuffle` gives, each twice.
    pub fn deliver_everything(&mut self, shuffle: impl Fn(&mut Vec<usize>)) {
        for state in &mut self.states {
            let mut order: Vec<usize> = (0..self.deltas.len()).chain(0..self.deltas.len()).collect();
            shuffle(&mut order);
            order.into_iter().for_each(|at| state.join_delta(&self.deltas[at]));
        }
    }

    fn in_reach(&self, delta: &Change, to: usize) -> bool {
        crdt::validate_from_peer(delta, id(to), self.states[to].context()).is_ok()
    }
}

pub fn id(replica: usize) -> ReplicaId {
    ReplicaId(u8::try_from(replica + 1).unwrap())
}

/// The state as bytes: what "byte-identical" means.
pub fn bytes(state: &State) -> Vec<u8> {
    let lines = state.lines().map(|(item, line)| (*item, line.clone())).collect();
    crdt::codec::encode_delta(&Change { context: state.context().clone(), lines })
}

/// A join that forgets causal contexts, as a naive union does: what was removed comes back.
pub fn join_without_context(state: &mut State, other: &State) {
    let mut lines: std::collections::BTreeMap<_, _> = state.lines().map(|(k, l)| (*k, l.clone())).collect();
    let blind = crdt::CausalContext::new();
    for (item, line) in other.lines() {
        lines.entry(*item).or_default().join(&blind, line, &blind);
    }
    let mut context = state.context().clone();
    context.join(other.context());
    *state = State::from_parts(context, lines);
}
