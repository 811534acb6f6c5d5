//! A line of the cart: the entries of one item, and the operations on them.

use std::collections::BTreeMap;

use crate::bands::{Bands, Denominated};
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

impl<S: Denominated> Line<S> {
    /// Units the shopper sees: all live adds, and of the live sets of each denomination the largest that stand together. Saturates, is
    /// never negative.
    pub fn quantity(&self) -> u64 {
        let units = self.counted().into_iter().filter_map(|(_, entry)| entry.live_units());
        units.fold(0, u64::saturating_add)
    }

    /// The entries that count; their live units together are the quantity.
    pub fn counted(&self) -> Vec<(Dot, &Contribution<S>)> {
        counted::counted(&self.entries)
    }

    /// The units the shopper sees by what they were shown as when they were added, in the order of the snapshots.
    pub fn units(&self) -> BTreeMap<&S, u64> {
        let mut units = BTreeMap::new();
        for (_, entry) in self.counted() {
            for (snapshot, some) in entry.bands.split(&entry.live()) {
                let sum: &mut u64 = units.entry(snapshot).or_default();
                *sum = sum.saturating_add(some);
            }
        }
        units
    }

    /// Adds `quantity` units as `replica`, which has seen `context`.
    ///
    /// They keep `snapshot`, whatever that of the units before them is.
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
                let mut grown = own.clone();
                grown.bands.push(quantity, snapshot);
                change.put(birth, grown);
            }
            None => {
                change.put(operation, Contribution::new(Kind::Add, Bands::of(quantity, snapshot)));
            }
        }
        Ok(change)
    }

    /// The units that this line would show were there `quantity` of them: those it shows, and more at `snapshot` (none, if it is not given).
    /// Of too many, those with the greatest snapshots go first; each of the others keeps its own.
    pub fn resized(&self, quantity: u64, snapshot: Option<S>) -> Bands<S> {
        let mut left = quantity;
        let mut bands = Bands::default();
        for (shown, units) in self.units() {
            let kept = units.min(left);
            bands.push(kept, shown.clone());
            left -= kept;
        }
        snapshot.into_iter().for_each(|snapshot| bands.push(left, snapshot));
        bands
    }

    /// Replaces what was shown to the shopper by `units` (at least 1; to empty the line call [`Line::remove`]).
    ///
    /// `shown` is this line joined with the cuts of undecided checkouts: what they hide stays, should it show again.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn set(
        &self,
        shown: &Self,
        context: &CausalContext,
        replica: ReplicaId,
        units: Bands<S>,
    ) -> Result<Change<S>, CountersExhausted> {
        let operation = context.next_dot(replica)?;
        let mut change = self.without(shown, operation, |_| true);
        let is_hidden = |(dot, entry): &(Dot, &Contribution<S>)| {
            entry.kind != Kind::Add && entry.live_units().is_some() && shown.live(*dot).is_empty()
        };
        let atop = self.entries.iter().filter(is_hidden).map(|(dot, _)| dot).collect();
        change.put(operation, Contribution::new(Kind::Set { atop }, units));
        Ok(change)
    }

    /// Removes what was shown to the shopper with a `wanted` snapshot, and nothing else; `shown` as for [`Line::set`].
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn remove(
        &self,
        shown: &Self,
        context: &CausalContext,
        replica: ReplicaId,
        wanted: impl Fn(&S) -> bool,
    ) -> Result<Change<S>, CountersExhausted> {
        Ok(self.without(shown, context.next_dot(replica)?, wanted))
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
            let left = entry.gone.common(&theirs.gone).rest_of(entry.added());
            both.entries.insert(dot, Contribution { gone: left, ..entry.clone() });
        }
        both.quantity()
    }

    /// The change that removes everything `wanted` that `shown` shows. What nothing is left of is dropped, of an add by its owner alone: anybody
    /// else would drop what the owner is adding to it.
    fn without(&self, shown: &Self, operation: Dot, wanted: impl Fn(&S) -> bool) -> Change<S> {
        let mut change = Change::of(operation);
        for (dot, entry) in self.entries.iter() {
            let seen = shown.live(dot).common(&entry.bands.parts(&wanted));
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
