//! What the shoppers meant, from histories alone: each operation with what its author had seen. It knows no dots and no contexts, and
//! learns who has seen what from which entries were joined, never from what a join made of them. Of an entry it looks only at whose it is.

use std::collections::{BTreeMap, BTreeSet};

use replication::ReplicaId;

use super::disk::Delta;

pub type OperationId = u32;
pub type Item = u64;

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Add(Item, u64),
    Set(Item, u64),
    Remove(Item),
    /// An order takes everything that was shown. Counts as seen from when the order is placed.
    Checkout,
}

#[derive(Debug)]
struct Operation {
    author: ReplicaId,
    kind: Kind,
    saw: BTreeSet<OperationId>,
    /// The adds and sets among them that its author was shown: not gone, and not held by an order that was undecided there.
    shown: BTreeSet<OperationId>,
}

/// Every operation that was ever acknowledged to a shopper.
#[derive(Debug, Default)]
pub struct Model {
    operations: BTreeMap<OperationId, Operation>,
}

impl Model {
    /// `held`: the checkouts of the cart that were undecided where its author was.
    pub fn acknowledge(
        &mut self,
        id: OperationId,
        author: ReplicaId,
        kind: Kind,
        saw: BTreeSet<OperationId>,
        held: &BTreeSet<OperationId>,
    ) {
        let shown = saw.iter().copied().filter(|id| self.is_shown(*id, &saw, held)).collect();
        self.operations.insert(id, Operation { author, kind, saw, shown });
    }

    /// Whether an add or a set is shown to somebody who has seen `seen`, while the orders of `held` are undecided: nobody to whom it was
    /// shown has removed, replaced or ordered it.
    fn is_shown(&self, id: OperationId, seen: &BTreeSet<OperationId>, held: &BTreeSet<OperationId>) -> bool {
        let Some(Kind::Add(item, _) | Kind::Set(item, _)) = self.operations.get(&id).map(|it| it.kind) else {
            return false;
        };
        !seen.union(held).filter_map(|later| self.operations.get(later)).any(|later| {
            let takes = match later.kind {
                Kind::Set(taken, _) | Kind::Remove(taken) => taken == item,
                Kind::Checkout => true,
                Kind::Add(..) => false,
            };
            takes && later.shown.contains(&id)
        })
    }

    /// The adds that a delta tells of to whoever joins it: of those among `seen`, which its author had seen, all to the entries that it
    /// carries. An entry of adds travels whole, with each later add to it and with each mark on it: whoever gets it first is shown, and may
    /// remove or order, all units in it that the mark leaves alone.
    pub fn told_by(&self, delta: &Delta, seen: &BTreeSet<OperationId>) -> Vec<OperationId> {
        let mut owners = BTreeSet::new();
        for (item, line) in &delta.lines {
            let adds = line.entries().filter(|(_, entry)| entry.kind == crdt::Kind::Add);
            owners.extend(adds.map(|(dot, _)| (*item, ReplicaId(dot.replica.0))));
        }
        let is_told = |id: &OperationId| {
            let operation = self.operations.get(id);
            operation.is_some_and(|it| matches!(it.kind, Kind::Add(to, _) if owners.contains(&(to, it.author))))
        };
        seen.iter().copied().filter(is_told).collect()
    }

    /// What a placed order tells of with its `cut`, which is of the time when it began.
    pub fn told_by_order(&self, id: OperationId, cut: &Delta) -> Vec<OperationId> {
        let mut told = self.operations.get(&id).map_or(Vec::new(), |order| self.told_by(cut, &order.saw));
        told.push(id);
        told
    }

    /// What a cart shows to somebody who has seen `seen`, while the orders of `held` are undecided. Adds that are shown sum up; of the sets
    /// that are shown the largest counts, with those below it that its author knew of and was not shown.
    pub fn quantities(&self, seen: &BTreeSet<OperationId>, held: &BTreeSet<OperationId>) -> BTreeMap<Item, u64> {
        let shown = seen.iter().copied().filter(|id| self.is_shown(*id, seen, held));
        let mut quantities = BTreeMap::new();
        let mut sets = BTreeMap::new();
        let mut heights: BTreeMap<OperationId, (Item, u64)> = BTreeMap::new();
        for (id, operation) in shown.filter_map(|id| Some((id, self.operations.get(&id)?))) {
            match operation.kind {
                Kind::Add(item, units) => *quantities.entry(item).or_insert(0) += units,
                Kind::Set(item, units) => {
                    // Numbers ascend with time, so those below were looked at before.
                    let below = heights.iter().filter(|(id, (of, _))| *of == item && operation.saw.contains(id));
                    let height = units + below.map(|(_, (_, height))| *height).max().unwrap_or(0);
                    heights.insert(id, (item, height));
                    let largest = sets.entry(item).or_insert(0);
                    *largest = height.max(*largest);
                }
                Kind::Remove(_) | Kind::Checkout => {}
            }
        }
        sets.into_iter().for_each(|(item, units)| *quantities.entry(item).or_insert(0) += units);
        quantities
    }

    /// The operations seen, one a line.
    pub fn story(&self, seen: &BTreeSet<OperationId>) -> String {
        let told = seen.iter().filter_map(|id| Some((id, self.operations.get(id)?)));
        told.map(|(id, operation)| {
            format!("\n  {id}: {:?} saw {:?}, was shown {:?}", operation.kind, operation.saw, operation.shown)
        })
        .collect()
    }
}
