//! The whole cart: lines by item under one causal context; and deltas of it.

use std::collections::BTreeMap;

use crate::context::CausalContext;
use crate::dot::{CountersExhausted, Dot, ReplicaId};
use crate::line::{Change, Line};

/// A replica's state of a cart. Lines without entries are not kept, so equal states are equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cart<K, S> {
    context: CausalContext,
    lines: BTreeMap<K, Line<S>>,
}

/// What one or more operations did. Unlike a state, it may name a line without entries: that line was emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta<K, S> {
    /// The operations' dots, the dots of the entries carried, and the dots removed from the lines named.
    pub context: CausalContext,
    /// The lines touched, by item.
    pub lines: BTreeMap<K, Line<S>>,
}

impl<K, S> Default for Cart<K, S> {
    fn default() -> Self {
        Self { context: CausalContext::new(), lines: BTreeMap::new() }
    }
}

impl<K: Ord, S> Delta<K, S> {
    /// The delta of one line's change.
    pub fn of_line(item: K, change: Change<S>) -> Self {
        Self { context: change.context, lines: BTreeMap::from([(item, change.line)]) }
    }

    /// Adds the change of another line to a delta.
    ///
    /// The lines must differ: two changes of one line join as lines do, with [`Line::join`].
    pub fn push(&mut self, item: K, change: Change<S>) {
        self.context.join(&change.context);
        self.lines.insert(item, change.line);
    }

    /// The delta of an operation that so far touches nothing but the version: the beginning of a checkout, whose cut is joined
    /// only when the order is placed.
    pub fn tick(operation: Dot) -> Self {
        Self { context: [operation].into_iter().collect(), lines: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, S: Ord + Clone> Cart<K, S> {
    /// A state from its parts, such as the rows of a store.
    pub fn from_parts(context: CausalContext, lines: impl IntoIterator<Item = (K, Line<S>)>) -> Self {
        Self { context, lines: lines.into_iter().filter(|(_, line)| !line.is_empty()).collect() }
    }

    /// The dots seen; the cart's version.
    pub fn context(&self) -> &CausalContext {
        &self.context
    }

    /// Every line with entries, also those whose quantity is 0.
    pub fn lines(&self) -> impl Iterator<Item = (&K, &Line<S>)> {
        self.lines.iter()
    }

    /// The lines a shopper sees: item, units (1 or more), snapshot.
    pub fn visible(&self) -> impl Iterator<Item = (&K, u64, &S)> {
        self.lines.iter().filter_map(|(item, line)| {
            let quantity = line.quantity();
            line.snapshot().filter(|_| quantity > 0).map(|snapshot| (item, quantity, snapshot))
        })
    }

    /// Adds `quantity` units of `item` as `replica`; see [`Line::add`]. Returns the delta, already joined here.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn add(&mut self, replica: ReplicaId, item: K, quantity: u64, snapshot: S) -> Outcome<K, S> {
        let change = self.line(&item).add(&self.context, replica, quantity, snapshot)?;
        Ok(self.apply(item, change))
    }

    /// Replaces what was seen of `item`; see [`Line::set`].
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn set(&mut self, replica: ReplicaId, item: K, quantity: u64, snapshot: S) -> Outcome<K, S> {
        let change = self.line(&item).set(&self.context, replica, quantity, snapshot)?;
        Ok(self.apply(item, change))
    }

    /// Removes what was seen of `item`; see [`Line::remove`].
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn remove(&mut self, replica: ReplicaId, item: K) -> Outcome<K, S> {
        let change = self.line(&item).remove(&self.context, replica)?;
        Ok(self.apply(item, change))
    }

    /// Drops the spent entries that `replica` owns; see [`Line::retire`]. Returns a delta for each.
    pub fn retire(&mut self, replica: ReplicaId) -> Vec<Delta<K, S>> {
        let spent = self.lines.iter().filter_map(|(item, line)| Some((item.clone(), line.retire(replica)?)));
        let spent: Vec<_> = spent.collect();
        spent.into_iter().map(|(item, change)| self.apply(item, change)).collect()
    }

    /// The cut of a checkout by `replica`: the delta that consumes exactly what is seen now. It is *not* joined: join it when the
    /// order is placed, drop it when the order fails. Its dot must be taken at once, by joining [`Delta::tick`] of it.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn cut(&self, replica: ReplicaId) -> Result<(Dot, Delta<K, S>), CountersExhausted> {
        let operation = self.context.next_dot(replica)?;
        let mut cut = Delta::tick(operation);
        for (item, line) in &self.lines {
            cut.push(item.clone(), line.cut(operation));
        }
        Ok((operation, cut))
    }

    /// Joins another replica's whole state.
    pub fn join(&mut self, other: &Self) {
        for (item, line) in &mut self.lines {
            if !other.lines.contains_key(item) {
                line.join(&self.context, &Line::default(), &other.context);
            }
        }
        self.join_lines(&other.lines, &other.context);
        self.lines.retain(|_, line| !line.is_empty());
    }

    /// Joins a delta, touching only the lines it names.
    ///
    /// Sound because a delta's context covers no dot of a line it does not name, but for entries that are nowhere any more
    /// (operation dots, see the crate's documentation).
    pub fn join_delta(&mut self, delta: &Delta<K, S>) {
        self.join_lines(&delta.lines, &delta.context);
        for item in delta.lines.keys() {
            if self.lines.get(item).is_some_and(Line::is_empty) {
                self.lines.remove(item);
            }
        }
    }

    fn join_lines(&mut self, lines: &BTreeMap<K, Line<S>>, context: &CausalContext) {
        for (item, theirs) in lines {
            match self.lines.get_mut(item) {
                Some(line) => line.join(&self.context, theirs, context),
                None => {
                    let mut line = Line::default();
                    line.join(&self.context, theirs, context);
                    self.lines.insert(item.clone(), line);
                }
            }
        }
        self.context.join(context);
    }

    fn line(&self, item: &K) -> Line<S> {
        self.lines.get(item).cloned().unwrap_or_default()
    }

    fn apply(&mut self, item: K, change: Change<S>) -> Delta<K, S> {
        let delta = Delta::of_line(item, change);
        self.join_delta(&delta);
        delta
    }
}

/// The delta of an operation.
type Outcome<K, S> = Result<Delta<K, S>, CountersExhausted>;
