//! A few replicas, the operations shoppers perform on them, and every delta they made, to deliver in any order.
#![allow(dead_code, reason = "each test file uses its own part of the world")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

pub mod broken;

use std::collections::BTreeMap;

use crdt::codec::{DecodeError, Reader, Wire};
use crdt::{Cart, Delta, Denominated, ReplicaId};
use proptest::prelude::*;

pub type Item = u64;

/// A price in one of two currencies: every thousand begins another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(pub u64);

impl Denominated for Price {
    type Denomination = u64;

    fn denomination(&self) -> u64 {
        self.0 / 1_000
    }
}

impl Wire for Price {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        u64::read(reader).map(Self)
    }
}

pub type Address = u64;
pub type State = Cart<Item, Price, Address>;
pub type Change = Delta<Item, Price, Address>;

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
    Assign {
        replica: usize,
        address: Address,
    },
    Clear {
        replica: usize,
    },
    Retire {
        replica: usize,
    },
    BeginCheckout {
        replica: usize,
    },
    /// Joins the cut of a checkout that was begun, at the replica where it was begun.
    PlaceOrder {
        checkout: prop::sample::Index,
    },
    /// Drops the cut of a checkout that was begun, at the replica where it was begun.
    RejectOrder {
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
    let quantity = 1_u64..6;
    let price = prop_oneof![3 => 1_u64..4, 1 => 1_001_u64..1_003].prop_map(Price);
    let step = prop_oneof![
        4 => (replica.clone(), item.clone(), quantity.clone(), price.clone())
            .prop_map(|(replica, item, quantity, price)| Step::Add { replica, item, quantity, price }),
        2 => (replica.clone(), item.clone(), quantity, price)
            .prop_map(|(replica, item, quantity, price)| Step::Set { replica, item, quantity, price }),
        2 => (replica.clone(), item).prop_map(|(replica, item)| Step::Remove { replica, item }),
        1 => (replica.clone(), 1_u64..4).prop_map(|(replica, address)| Step::Assign { replica, address }),
        1 => replica.clone().prop_map(|replica| Step::Clear { replica }),
        1 => replica.clone().prop_map(|replica| Step::Retire { replica }),
        2 => replica.clone().prop_map(|replica| Step::BeginCheckout { replica }),
        1 => any::<prop::sample::Index>().prop_map(|checkout| Step::PlaceOrder { checkout }),
        1 => any::<prop::sample::Index>().prop_map(|checkout| Step::RejectOrder { checkout }),
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

/// What a replica knows of a checkout. It only moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Undecided,
    Rejected,
    Placed,
}

pub struct World {
    pub states: Vec<State>,
    pub deltas: Vec<Change>,
    pub checkouts: Vec<Checkout>,
    /// By replica: the checkouts it has heard of. They travel with whole states, as a store sends them.
    pub known: Vec<BTreeMap<usize, Fate>>,
    joins: Joins,
}

/// How states and deltas are joined: the real joins, or broken ones, by which the suites are shown to bite.
#[derive(Clone, Copy)]
pub struct Joins {
    pub state: fn(&mut State, &State),
    pub delta: fn(&mut State, &Change),
}

pub const REAL: Joins = Joins { state: State::join, delta: State::join_delta };

impl World {
    pub fn new(replicas: usize) -> Self {
        Self::with(replicas, REAL)
    }

    pub fn with(replicas: usize, joins: Joins) -> Self {
        let known = vec![BTreeMap::new(); replicas];
        Self { states: vec![State::default(); replicas], deltas: Vec::new(), checkouts: Vec::new(), known, joins }
    }

    /// What a shopper is shown at a replica: its state without what the checkouts hold that it knows to be undecided.
    pub fn view(&self, replica: usize) -> State {
        let undecided = self.known[replica].iter().filter(|(_, fate)| **fate == Fate::Undecided);
        self.states[replica].view(undecided.map(|(at, _)| &self.checkouts[*at].cut))
    }

    /// The checkout and its replica, if that one has not decided it yet.
    fn undecided(&self, checkout: &prop::sample::Index) -> Option<(usize, usize)> {
        let at = (!self.checkouts.is_empty()).then(|| checkout.index(self.checkouts.len()))?;
        let replica = self.checkouts[at].replica;
        (self.known[replica][&at] == Fate::Undecided).then_some((at, replica))
    }

    pub fn after(replicas: usize, steps: &[Step], joins: Joins) -> Self {
        let mut world = Self::with(replicas, joins);
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
                let shown = self.view(*replica);
                if !may_set(&shown, *item, *quantity, *price) {
                    return;
                }
                let set = self.states[*replica].set_shown(&shown, id(*replica), *item, *quantity, *price);
                let delta = set.unwrap();
                self.deltas.push(delta);
            }
            Step::Remove { replica, item } => {
                let shown = self.view(*replica);
                let delta = self.states[*replica].remove_shown(&shown, id(*replica), *item).unwrap();
                self.deltas.push(delta);
            }
            Step::Assign { replica, address } => {
                let delta = self.states[*replica].assign_address(id(*replica), *address).unwrap();
                self.deltas.push(delta);
            }
            Step::Clear { replica } => {
                let delta = self.states[*replica].clear_address(id(*replica)).unwrap();
                self.deltas.push(delta);
            }
            Step::Retire { replica } => {
                let deltas = self.states[*replica].retire(id(*replica));
                self.deltas.extend(deltas);
            }
            Step::BeginCheckout { replica } => {
                let (operation, cut) = self.view(*replica).cut(id(*replica)).unwrap();
                self.tick(*replica, operation);
                self.known[*replica].insert(self.checkouts.len(), Fate::Undecided);
                self.checkouts.push(Checkout { replica: *replica, cut });
            }
            Step::PlaceOrder { checkout } => {
                if let Some((at, replica)) = self.undecided(checkout) {
                    let cut = self.checkouts[at].cut.clone();
                    (self.joins.delta)(&mut self.states[replica], &cut);
                    self.deltas.push(cut);
                    self.known[replica].insert(at, Fate::Placed);
                }
            }
            Step::RejectOrder { checkout } => {
                if let Some((at, replica)) = self.undecided(checkout) {
                    let operation = self.states[replica].context().next_dot(id(replica)).unwrap();
                    self.tick(replica, operation);
                    self.known[replica].insert(at, Fate::Rejected);
                }
            }
            Step::Deliver { delta, to } => {
                if !self.deltas.is_empty() && self.in_reach(delta.get(&self.deltas), *to) {
                    (self.joins.delta)(&mut self.states[*to], delta.get(&self.deltas));
                }
            }
            Step::Sync { from, to } => {
                let state = self.states[*from].clone();
                (self.joins.state)(&mut self.states[*to], &state);
                for (checkout, fate) in self.known[*from].clone() {
                    let known = self.known[*to].entry(checkout).or_insert(fate);
                    *known = fate.max(*known);
                }
            }
        }
    }

    /// An operation that moves the version on and nothing else.
    fn tick(&mut self, replica: usize, operation: crdt::Dot) {
        let tick = Change::tick(operation);
        self.states[replica].join_delta(&tick);
        self.deltas.push(tick);
    }

    /// Every delta to every replica, each twice, in an order that `shuffle` gives for each replica.
    pub fn deliver_everything(&mut self, mut shuffle: impl FnMut(&mut Vec<usize>)) {
        for state in &mut self.states {
            let mut order: Vec<usize> = (0..self.deltas.len()).chain(0..self.deltas.len()).collect();
            shuffle(&mut order);
            order.into_iter().for_each(|at| (self.joins.delta)(state, &self.deltas[at]));
        }
    }

    fn in_reach(&self, delta: &Change, to: usize) -> bool {
        crdt::validate_from_peer(delta, id(to), self.states[to].context()).is_ok()
    }
}

/// Amounts of two currencies make no quantity, so no shopper may set one.
pub fn may_set(shown: &State, item: Item, quantity: u64, price: Price) -> bool {
    let units: BTreeMap<Price, u64> = prices(shown).remove(&item).unwrap_or_default();
    let raises = quantity > units.values().sum();
    let mut currencies: Vec<u64> = units.keys().map(Denominated::denomination).collect();
    currencies.extend(raises.then(|| price.denomination()));
    currencies.windows(2).all(|pair| pair[0] == pair[1])
}

/// Units by price of each item.
pub fn prices(state: &State) -> BTreeMap<Item, BTreeMap<Price, u64>> {
    let shown = state.lines().map(|(item, line)| {
        (*item, line.units().into_iter().map(|(price, units)| (*price, units)).collect::<BTreeMap<_, _>>())
    });
    shown.filter(|(_, units)| !units.is_empty()).collect()
}

pub fn id(replica: usize) -> ReplicaId {
    ReplicaId(u8::try_from(replica + 1).unwrap())
}

/// The state as bytes: what "byte-identical" means.
pub fn bytes(state: &State) -> Vec<u8> {
    crdt::codec::encode_cart(state)
}
