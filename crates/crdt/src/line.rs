//! A line of the cart: the entries of one item, and the operations on them.

use crate::context::CausalContext;
use crate::contribution::Contribution;
use crate::dot::{CountersExhausted, Dot, ReplicaId};
use crate::dot_fun::DotFun;

/// The entries of one item: at most one `Add` and one `Set` per replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line<S> {
    pub(crate) entries: DotFun<Contribution<S>>,
}

/// What an operation did to one line: join `line` under `context`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<S> {
    /// The entries born or changed.
    pub line: Line<S>,
    /// The operation's dot, the dots of `line`, and the dots of the entries removed from this line.
    pub context: CausalContext,
}

impl<S> Default for Line<S> {
    fn default() -> Self {
        Self { entries: DotFun::default() }
    }
}

impl<S> Line<S> {
    /// Units the shopper sees: the largest live set, and all live adds on top. Saturates, is never negative.
    pub fn quantity(&self) -> u64 {
        let mut largest_set = 0;
        let mut adds = 0_u64;
        for (_, contribution) in self.entries.iter() {
            match contribution {
                Contribution::Set { quantity, .. } => largest_set = largest_set.max(*quantity),
                Contribution::Add { added, removed, .. } => adds = adds.saturating_add(added.saturating_sub(*removed)),
            }
        }
        adds.saturating_add(largest_set)
    }

    /// The entries, by dot.
    pub fn entries(&self) -> impl Iterator<Item = (Dot, &Contribution<S>)> {
        self.entries.iter()
    }

    /// Whether nothing is stored: the line may be forgotten. A line of quantity 0 can still hold spent entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn own_add(&self, replica: ReplicaId) -> Option<(Dot, &Contribution<S>)> {
        self.entries
            .iter()
            .find(|(dot, contribution)| dot.replica == replica && matches!(contribution, Contribution::Add { .. }))
    }
}

impl<S: Ord + Clone> Line<S> {
    /// The snapshot the shopper sees. Concurrent adds may have snapshotted different prices: the least stands everywhere.
    pub fn snapshot(&self) -> Option<&S> {
        let live = self.entries.iter().filter(|(_, contribution)| contribution.live_units().is_some());
        live.map(|(_, contribution)| contribution.snapshot()).min()
    }

    /// Adds `quantity` units as `replica`, which has seen `context`.
    ///
    /// A live line keeps the snapshot its shopper already sees; `snapshot` is for a line that is new.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn add(
        &self,
        context: &CausalContext,
        replica: ReplicaId,
        quantity: u64,
        snapshot: S,
    ) -> Result<Change<S>, CountersExhausted> {
        let operation = context.next_dot(replica)?;
        let mut change = Change::of(operation);
        match self.own_add(replica) {
            Some((birth, Contribution::Add { added, removed, snapshot })) if removed < added => {
                let added = added.saturating_add(quantity);
                change.put(birth, Contribution::Add { added, removed: *removed, snapshot: snapshot.clone() });
            }
            spent => {
                if let Some((birth, _)) = spent {
                    change.context.insert(birth);
                }
                let snapshot = self.snapshot().cloned().unwrap_or(snapshot);
                change.put(operation, Contribution::Add { added: quantity, removed: 0, snapshot });
            }
        }
        Ok(change)
    }

    /// Replaces what `replica` has seen of the line by `quantity` units (at least 1; to empty it call [`Line::remove`]).
    ///
    /// `snapshot` is for a line that is not live.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn set(
        &self,
        context: &CausalContext,
        replica: ReplicaId,
        quantity: u64,
        snapshot: S,
    ) -> Result<Change<S>, CountersExhausted> {
        let operation = context.next_dot(replica)?;
        let mut change = self.without_seen(operation);
        let snapshot = self.snapshot().cloned().unwrap_or(snapshot);
        change.put(operation, Contribution::Set { quantity, snapshot });
        Ok(change)
    }

    /// Removes what `replica` has seen of the line, and nothing else.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn remove(&self, context: &CausalContext, replica: ReplicaId) -> Result<Change<S>, CountersExhausted> {
        Ok(self.without_seen(context.next_dot(replica)?))
    }

    /// Drops `replica`'s own spent `Add` entry, if it has one: nobody else ever adds to it, so it is done with.
    /// Call it after a join and ship the result; it is what ends tombstones.
    ///
    /// It takes no dot of its own: nothing that a shopper sees changes, so the version must not move.
    pub fn retire(&self, replica: ReplicaId) -> Option<Change<S>> {
        let (birth, contribution) = self.own_add(replica)?;
        contribution.live_units().is_none().then(|| Change::of(birth))
    }

    /// What a checkout under the dot `operation` consumes of this line: everything seen.
    ///
    /// SUBTLE: unlike a remove it only marks its replica's own `Add` entry and never drops it, because a cut is joined
    /// later, and the same entry may have grown by then: dropping it would lose the units added meanwhile.
    pub(crate) fn cut(&self, operation: Dot) -> Change<S> {
        let mut change = Change::of(operation);
        for (dot, contribution) in self.entries.iter() {
            change.mark_removed(dot, contribution);
        }
        change
    }

    /// The change that removes all seen entries: own `Add` entries are dropped, others' are marked.
    fn without_seen(&self, operation: Dot) -> Change<S> {
        let mut change = Change::of(operation);
        for (dot, contribution) in self.entries.iter() {
            if dot.replica == operation.replica {
                change.context.insert(dot);
            } else {
                change.mark_removed(dot, contribution);
            }
        }
        change
    }

    /// Joins a change or another replica's line, seen with `other_context`, into this line, seen with `context`.
    pub fn join(&mut self, context: &CausalContext, other: &Self, other_context: &CausalContext) {
        self.entries.join(context, &other.entries, other_context);
    }

    /// The line with `change` joined.
    pub fn joined(&self, context: &CausalContext, change: &Change<S>) -> Self {
        let mut line = self.clone();
        line.join(context, &change.line, &change.context);
        line
    }
}

impl<S> Change<S> {
    /// No entries, and a context of one dot: that of an operation, or of an entry that is dropped.
    fn of(dot: Dot) -> Self {
        Self { line: Line::default(), context: [dot].into_iter().collect() }
    }

    fn put(&mut self, dot: Dot, contribution: Contribution<S>) {
        self.context.insert(dot);
        self.line.entries.insert(dot, contribution);
    }
}

impl<S: Clone> Change<S> {
    /// Removes an entry without dropping what its owner may add to it later: an `Add` is marked, a `Set` is covered.
    fn mark_removed(&mut self, dot: Dot, contribution: &Contribution<S>) {
        match contribution {
            Contribution::Add { added, snapshot, .. } => {
                let spent = Contribution::Add { added: *added, removed: *added, snapshot: snapshot.clone() };
                self.put(dot, spent);
            }
            Contribution::Set { .. } => self.context.insert(dot),
        }
    }
}
