//! What the shopper meant: histories of operations with what each had seen. It knows no dots, contexts or counters.

use std::collections::{BTreeMap, BTreeSet};

use crdt::Denominated;
use proptest::sample::Index;

use crate::world::{Address, Item, Price, Step};

type OperationId = usize;
pub type Currency = u64;
/// Units by price.
pub type Prices = BTreeMap<Price, u64>;

enum Kind {
    Add(Item, u64, Price),
    /// Units by price: what its author was shown, made as many as were asked for.
    Set(Item, Prices),
    Remove(Item),
    /// An order took every line that was seen.
    Checkout,
    Assign(Address),
    Clear,
}

struct Operation {
    kind: Kind,
    /// What its author had seen.
    saw: BTreeSet<OperationId>,
    /// The adds and sets of it that its author was shown: neither gone, nor held by an order that was undecided to them.
    shown: BTreeSet<OperationId>,
}

/// Operations, which of them each replica has seen, and what it has heard of the checkouts' orders.
#[derive(Default)]
pub struct Model {
    operations: Vec<Operation>,
    seen: Vec<BTreeSet<OperationId>>,
    /// By replica and checkout: whether its order was placed, once it is decided.
    decided: Vec<BTreeMap<OperationId, bool>>,
    checkouts: Vec<(usize, OperationId)>,
}

impl Model {
    pub fn new(replicas: usize) -> Self {
        let (seen, decided) = (vec![BTreeSet::new(); replicas], vec![BTreeMap::new(); replicas]);
        Self { seen, decided, ..Self::default() }
    }

    /// `shown` is what the world shows of the item of a set: of two equally large sets either counts, and the model does not know which.
    pub fn perform(&mut self, step: &Step, shown: Option<Prices>) {
        match step {
            Step::Add { replica, item, quantity, price } => {
                self.see(*replica, Kind::Add(*item, *quantity, *price));
            }
            Step::Set { replica, item, quantity, price } => {
                if let Some(shown) = shown {
                    self.see(*replica, Kind::Set(*item, resized(&shown, *quantity, *price)));
                }
            }
            Step::Remove { replica, item } => drop(self.see(*replica, Kind::Remove(*item))),
            Step::Assign { replica, address } => drop(self.see(*replica, Kind::Assign(*address))),
            Step::Clear { replica } => drop(self.see(*replica, Kind::Clear)),
            Step::Retire { .. } => {}
            Step::BeginCheckout { replica } => {
                let checkout = self.see(*replica, Kind::Checkout);
                self.checkouts.push((*replica, checkout));
            }
            Step::PlaceOrder { checkout } => self.decide(checkout, true),
            Step::RejectOrder { checkout } => self.decide(checkout, false),
            Step::Sync { from, to } => {
                let (seen, decided) = (self.seen[*from].clone(), self.decided[*from].clone());
                self.seen[*to].extend(seen);
                self.decided[*to].extend(decided);
            }
            Step::Deliver { .. } => unreachable!("whole states only: the model's histories are causally closed"),
        }
    }

    fn see(&mut self, replica: usize, kind: Kind) -> OperationId {
        let shown = (0..self.operations.len()).filter(|&operation| self.is_shown(replica, operation)).collect();
        self.operations.push(Operation { kind, saw: self.seen[replica].clone(), shown });
        self.seen[replica].insert(self.operations.len() - 1);
        self.operations.len() - 1
    }

    fn decide(&mut self, checkout: &Index, placed: bool) {
        if !self.checkouts.is_empty() {
            let (replica, operation) = *checkout.get(&self.checkouts);
            self.decided[replica].entry(operation).or_insert(placed);
        }
    }

    fn item(&self, operation: OperationId) -> Option<Item> {
        match self.operations[operation].kind {
            Kind::Add(item, ..) | Kind::Set(item, _) => Some(item),
            _ => None,
        }
    }

    /// An add or a set is shown unless somebody to whom it was shown has removed or replaced it, or has ordered it and was not rejected.
    fn is_shown(&self, replica: usize, operation: OperationId) -> bool {
        let Some(item) = self.item(operation) else { return false };
        let takes = |later: &OperationId| {
            let by = &self.operations[*later];
            let takes = match &by.kind {
                Kind::Set(taken, _) | Kind::Remove(taken) => *taken == item,
                Kind::Checkout => self.decided[replica].get(later) != Some(&false),
                Kind::Add(..) | Kind::Assign(_) | Kind::Clear => false,
            };
            takes && by.shown.contains(&operation)
        };
        self.seen[replica].contains(&operation) && !self.seen[replica].iter().any(takes)
    }

    /// Adds that are shown sum up, each unit at its price. Of the sets that are shown the largest of each currency counts, with those below
    /// it that its author knew of and was not shown, because an order held them then. Of sets that are equally large any may count.
    pub fn answers(&self, replica: usize) -> BTreeMap<(Item, Currency), Vec<Prices>> {
        let mut adds: BTreeMap<(Item, Currency), Prices> = BTreeMap::new();
        let mut stacked: BTreeMap<OperationId, (Item, Currency, u64, Vec<Prices>)> = BTreeMap::new();
        for operation in (0..self.operations.len()).filter(|&operation| self.is_shown(replica, operation)) {
            match &self.operations[operation].kind {
                Kind::Add(item, quantity, price) => {
                    let units = adds.entry((*item, price.denomination())).or_default();
                    *units.entry(*price).or_default() += quantity;
                }
                Kind::Set(item, units) => {
                    let currency = units.keys().next().unwrap().denomination();
                    // Operations are numbered as they happened, so what it stands on was looked at before.
                    let known = stacked.iter().filter(|(below, (of, in_currency, ..))| {
                        (*of, *in_currency) == (*item, currency) && self.operations[operation].saw.contains(below)
                    });
                    let (height, below) = highest(known.map(|(_, (_, _, height, answers))| (*height, answers)));
                    let answers = below.iter().map(|below| sum(units, below)).collect();
                    let height = height + units.values().sum::<u64>();
                    stacked.insert(operation, (*item, currency, height, answers));
                }
                _ => {}
            }
        }
        let sets = stacked.values().map(|(item, currency, ..)| (*item, *currency));
        let keys: BTreeSet<(Item, Currency)> = adds.keys().copied().chain(sets).collect();
        let answer = |key: (Item, Currency)| {
            let sets = stacked.values().filter(|(item, currency, ..)| (*item, *currency) == key);
            let (_, largest) = highest(sets.map(|(_, _, height, answers)| (*height, answers)));
            let adds = adds.get(&key).cloned().unwrap_or_default();
            (key, largest.iter().map(|set| sum(set, &adds)).collect())
        };
        keys.into_iter().map(answer).collect()
    }

    pub fn quantities(&self, replica: usize) -> BTreeMap<Item, u64> {
        let mut quantities = BTreeMap::new();
        for ((item, _), answers) in self.answers(replica) {
            *quantities.entry(item).or_insert(0) += answers[0].values().sum::<u64>();
        }
        quantities
    }

    /// Addresses that no assignment or clearing had seen, each as often as it was assigned.
    pub fn addresses(&self, replica: usize) -> Vec<Address> {
        let seen = &self.seen[replica];
        let replaced = |operation: OperationId| {
            let mut later = seen.iter().map(|&later| &self.operations[later]);
            later.any(|later| matches!(later.kind, Kind::Assign(_) | Kind::Clear) && later.saw.contains(&operation))
        };
        let standing = seen.iter().copied().filter(|&operation| !replaced(operation));
        let mut addresses: Vec<Address> = standing
            .filter_map(|operation| match self.operations[operation].kind {
                Kind::Assign(address) => Some(address),
                _ => None,
            })
            .collect();
        addresses.sort_unstable();
        addresses
    }
}

/// What a set makes of what is shown: of too many units the dearest go first, and those that are missing have the price of now.
fn resized(shown: &Prices, quantity: u64, price: Price) -> Prices {
    let mut left = quantity;
    let mut units = Prices::new();
    for (price, shown) in shown {
        let kept = left.min(*shown);
        units.extend((kept > 0).then_some((*price, kept)));
        left -= kept;
    }
    if left > 0 {
        *units.entry(price).or_default() += left;
    }
    units
}

fn sum(one: &Prices, other: &Prices) -> Prices {
    let mut sum = one.clone();
    other.iter().for_each(|(price, units)| *sum.entry(*price).or_default() += units);
    sum
}

/// The greatest height, and all that reach it; nothing at all is one answer.
fn highest<'a>(those: impl Iterator<Item = (u64, &'a Vec<Prices>)>) -> (u64, Vec<Prices>) {
    let those: Vec<_> = those.collect();
    let Some(most) = those.iter().map(|(height, _)| *height).max() else { return (0, vec![Prices::new()]) };
    let reach = those.into_iter().filter(|(height, _)| *height == most);
    (most, reach.flat_map(|(_, answers)| answers.clone()).collect())
}
