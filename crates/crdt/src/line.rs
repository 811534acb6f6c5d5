//! A line of the cart: the entries of one item, and the operations on them.

use crate::context::CausalContext;
use crate::contribution::{Contribution, Kind};
use crate::counted;
use crate::dot::{CountersExhausted, Dot, ReplicaId};
use crate::dot_fun::DotFun;
use crate::parts::Parts;

/// The entries of one item: of each replica one `Add`, one `Set`, and one more `Set` for each that an undecided checkout hides.
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
    /// The entries, by dot.
    pub fn entries(&self) -> impl Iterator<Item = (Dot, &Contribution<S>)> {
        self.entries.iter()
    }

    /// Whether nothing is stored: the line may be forgotten. A line of quantity 0 can still hold spent entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn own(&self, replica: ReplicaId) -> impl Iterator<Item = (Dot, &Contribution<S>)> {
        self.entries.iter().filter(move |(dot, _)| dot.replica == replica)
    }

    /// What is live of the entry under `dot`.
    fn live(&self, dot: Dot) -> Parts {
        self.entries.get(dot).map_or(Parts::none(), Contribution::live)
    }
}

impl<S: Ord + Clone> Line<S> {
    /// Units the shopper sees: all live adds, and of the live sets the largest that stand together. Saturates, is never negative.
    pub fn quantity(&self) -> u64 {
        self.counted().into_iter().fold(0, |sum, (_, units, _)| u64::saturating_add(sum, units))
    }

    /// The entries that count, with their live units and their snapshots; together they are the quantity.
    pub fn counted(&self) -> Vec<(Dot, u64, &S)> {
        counted::counted(&self.entries)
    }

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
        self.own(replica).filter(|(_, own)| own.live_units().is_none()).for_each(|(dot, _)| change.context.insert(dot));
        match self.own(replica).find(|(_, own)| own.kind == Kind::Add && own.live_units().is_some()) {
            Some((birth, own)) => {
                change.put(birth, Contribution { added: own.added.saturating_add(quantity), ..own.clone() });
            }
            None => {
                let snapshot = self.snapshot().cloned().unwrap_or(snapshot);
                change.put(operation, Contribution::new(Kind::Add, quantity, snapshot));
            }
        }
        Ok(change)
    }

    /// Replaces what was shown to the shopper by `quantity` units (at least 1; to empty the line call [`Line::remove`]).
    ///
    /// `shown` is this line joined with the cuts of undecided checkouts: what they hide stays, should it show again.
    /// `snapshot` is for a line that shows nothing.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn set(
        &self,
        shown: &Self,
        context: &CausalContext,
        replica: ReplicaId,
        quantity: u64,
        snapshot: S,
    ) -> Result<Change<S>, CountersExhausted> {
        let operation = context.next_dot(replica)?;
        let mut change = self.without(shown, operation);
        let is_hidden = |(dot, entry): &(Dot, &Contribution<S>)| {
            entry.kind != Kind::Add && entry.live_units().is_some() && shown.live(*dot).is_empty()
        };
        let atop = self.entries.iter().filter(is_hidden).map(|(dot, _)| dot).collect();
        let snapshot = shown.snapshot().cloned().unwrap_or(snapshot);
        change.put(operation, Contribution::new(Kind::Set { atop }, quantity, snapshot));
        Ok(change)
    }

    /// Removes what was shown to the shopper, and nothing else; `shown` as for [`Line::set`].
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn remove(
        &self,
        shown: &Self,
        context: &CausalContext,
        replica: ReplicaId,
    ) -> Result<Change<S>, CountersExhausted> {
        Ok(self.without(shown, context.next_dot(replica)?))
    }

    /// Drops `replica`'s own spent entries, if it has any: nobody else ever adds to them, so they are done with.
    /// Call it after a join and ship the result; it is what ends tombstones.
    ///
    /// It takes no dot of its own: nothing that a shopper sees changes, so the version must not move.
    pub fn retire(&self, replica: ReplicaId) -> Option<Change<S>> {
        let spent = self.own(replica).filter(|(_, own)| own.live_units().is_none()).map(|(dot, _)| dot);
        let context: CausalContext = spent.collect();
        let is_some = context != CausalContext::new();
        is_some.then(|| Change { line: Self::default(), context })
    }

    /// What a checkout under the dot `operation` consumes of this line: the units that it shows, which are what its shopper is charged for.
    ///
    /// SUBTLE: it marks units and never drops an entry, because a cut is joined later: by then its entry may have grown, or hold
    /// units that another checkout hides, and both must stay.
    pub(crate) fn cut(&self, operation: Dot) -> Change<S> {
        let mut change = Change::of(operation);
        self.entries.iter().for_each(|(dot, entry)| change.mark_gone(dot, entry, entry.live()));
        change
    }

    /// Of two cuts' lines: how many units both take, counted as a line counts them.
    pub fn taken_by_both(&self, other: &Self) -> u64 {
        let mut both = Self::default();
        for (dot, entry) in self.entries.iter() {
            let Some(theirs) = other.entries.get(dot) else { continue };
            let left = entry.gone.common(&theirs.gone).rest_of(entry.added);
            both.entries.insert(dot, Contribution { gone: left, ..entry.clone() });
        }
        both.quantity()
    }

    /// The change that removes everything that `shown` shows. What nothing is left of is dropped, of an add by its owner alone: anybody
    /// else would drop what the owner is adding to it.
    fn without(&self, shown: &Self, operation: Dot) -> Change<S> {
        let mut change = Change::of(operation);
        for (dot, entry) in self.entries.iter() {
            let seen = shown.live(dot);
            let may_drop = dot.replica == operation.replica || entry.kind != Kind::Add;
            if may_drop && seen == entry.live() {
                change.context.insert(dot);
            } else {
                change.mark_gone(dot, entry, seen);
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
    /// No entries, and a context of one dot: that of an operation.
    fn of(dot: Dot) -> Self {
        Self { line: Line::default(), context: [dot].into_iter().collect() }
    }

    fn put(&mut self, dot: Dot, contribution: Contribution<S>) {
        self.context.insert(dot);
        self.line.entries.insert(dot, contribution);
    }
}

impl<S: Clone> Change<S> {
    /// Takes `units` of an entry, which stays.
    fn mark_gone(&mut self, dot: Dot, entry: &Contribution<S>, units: Parts) {
        if !units.is_empty() {
            self.put(dot, Contribution { gone: units, ..entry.clone() });
        }
    }
}
