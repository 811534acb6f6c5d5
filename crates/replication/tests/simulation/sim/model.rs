//! What the shoppers meant, from histories alone: each operation with what its author had seen. It knows no dots and no contexts, and
//! learns who has seen what from which entries were joined, never from what a join made of them.

use std::collections::{BTreeMap, BTreeSet};

use replication::ReplicaId;

pub type OperationId = u32;
pub type Item = u64;

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Add(Item, u64),
    Set(Item, u64),
    Remove(Item),
    /// An order takes everything that was seen. Counts as seen from when the order is placed.
    Checkout,
}

#[derive(Debug)]
struct Operation {
    author: ReplicaId,
    kind: Kind,
    saw: BTreeSet<OperationId>,
}

/// Every operation that was ever acknowledged to a shopper.
#[derive(Debug, Default)]
pub struct Model {
    operations: BTreeMap<OperationId, Operation>,
}

impl Model {
    pub fn acknowledge(&mut self, id: OperationId, author: ReplicaId, kind: Kind, saw: BTreeSet<OperationId>) {
        self.operations.insert(id, Operation { author, kind, saw });
    }

    /// The adds of `author` to `item` among `seen`. A later add to the line tells of them too: it says how many units its replica has
    /// added in all, so whoever gets it first sees, and may remove, all of them.
    pub fn told_again(&self, author: ReplicaId, item: Item, seen: &BTreeSet<OperationId>) -> Vec<OperationId> {
        let adds = seen.iter().filter(|id| {
            let operation = self.operations.get(id);
            operation.is_some_and(|it| it.author == author && matches!(it.kind, Kind::Add(to, _) if to == item))
        });
        adds.copied().collect()
    }

    /// What a cart holds for somebody who has seen `seen`: adds that no remove, set or checkout had seen sum up; of the sets that none
    /// had seen the largest stands.
    pub fn quantities(&self, seen: &BTreeSet<OperationId>) -> BTreeMap<Item, u64> {
        let seen_operations = || seen.iter().filter_map(|id| Some((*id, self.operations.get(id)?)));
        let undone = |id: OperationId, item: Item| {
            seen_operations().any(|(_, later)| {
                let clears = match later.kind {
                    Kind::Set(cleared, _) | Kind::Remove(cleared) => cleared == item,
                    Kind::Checkout => true,
                    Kind::Add(..) => false,
                };
                clears && later.saw.contains(&id)
            })
        };
        let mut quantities = BTreeMap::new();
        let mut sets = BTreeMap::new();
        for (id, operation) in seen_operations() {
            match operation.kind {
                Kind::Add(item, units) if !undone(id, item) => *quantities.entry(item).or_insert(0) += units,
                Kind::Set(item, units) if !undone(id, item) => {
                    let largest = sets.entry(item).or_insert(0);
                    *largest = units.max(*largest);
                }
                _ => {}
            }
        }
        sets.into_iter().for_each(|(item, units)| *quantities.entry(item).or_insert(0) += units);
        quantities
    }

    /// The operations seen, one a line.
    pub fn story(&self, seen: &BTreeSet<OperationId>) -> String {
        let told = seen.iter().filter_map(|id| Some((id, self.operations.get(id)?)));
        told.map(|(id, operation)| format!("\n  {id}: {:?} saw {:?}", operation.kind, operation.saw)).collect()
    }
}
