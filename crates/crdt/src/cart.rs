//! The whole cart: lines by item and the delivery address under one causal context.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::bands::Denominated;
use crate::context::CausalContext;
use crate::delta::Delta;
use crate::dot::{CountersExhausted, Dot, ReplicaId};
use crate::line::{Change, Line};
use crate::register::{Assignment, MvRegister};

/// A replica's state of a cart: items `K`, their snapshots `S`, and a delivery address `A`, by default of the type that has no
/// values: a cart without address. Lines without entries are not kept, so equal states are equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cart<K, S, A = Infallible> {
    context: CausalContext,
    lines: BTreeMap<K, Line<S>>,
    address: MvRegister<A>,
}

impl<K, S, A> Default for Cart<K, S, A> {
    fn default() -> Self {
        Self { context: CausalContext::new(), lines: BTreeMap::new(), address: MvRegister::default() }
    }
}

impl<K: Ord + Clone, S: Denominated, A: Ord + Clone> Cart<K, S, A> {
    /// A state from its parts, such as the rows of a store; its address is untouched.
    pub fn from_parts(context: CausalContext, lines: impl IntoIterator<Item = (K, Line<S>)>) -> Self {
        let lines = lines.into_iter().filter(|(_, line)| !line.is_empty()).collect();
        Self { context, lines, address: MvRegister::default() }
    }

    /// The state with this address, such as a store's column.
    #[must_use]
    pub fn with_address(self, address: MvRegister<A>) -> Self {
        Self { address, ..self }
    }

    /// The dots seen; the cart's version.
    pub fn context(&self) -> &CausalContext {
        &self.context
    }

    /// Every line with entries, also those whose quantity is 0.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = (&K, &Line<S>)> {
        self.lines.iter()
    }

    /// The lines a shopper sees: item and units, 1 or more. What each unit was shown as says [`Line::units`].
    pub fn visible(&self) -> impl Iterator<Item = (&K, u64)> {
        self.lines.iter().map(|(item, line)| (item, line.quantity())).filter(|(_, quantity)| *quantity > 0)
    }

    /// The delivery address, or the concurrent ones between which the shopper has not chosen yet.
    pub fn address(&self) -> &MvRegister<A> {
        &self.address
    }

    /// Adds `quantity` units of `item` as `replica`; see [`Line::add`]. Returns the delta, already joined here.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn add(&mut self, replica: ReplicaId, item: K, quantity: u64, snapshot: S) -> Outcome<K, S, A> {
        let change = self.line(&item).add(&self.context, replica, quantity, snapshot)?;
        Ok(self.apply(item, change))
    }

    /// Makes `item` have `quantity` units ([`Line::resized`]), of a cart that has no undecided checkouts; see [`Line::set`].
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn set(&mut self, replica: ReplicaId, item: K, quantity: u64, snapshot: S) -> Outcome<K, S, A> {
        let line = self.line(&item);
        let change = line.set(&line, &self.context, replica, line.resized(quantity, Some(snapshot)))?;
        Ok(self.apply(item, change))
    }

    /// Makes what `shown` shows of `item` be `quantity` units; it is a view of this cart.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn set_shown(
        &mut self,
        shown: &Self,
        replica: ReplicaId,
        item: K,
        quantity: u64,
        snapshot: S,
    ) -> Outcome<K, S, A> {
        let shown = shown.line(&item);
        let units = shown.resized(quantity, Some(snapshot));
        let change = self.line(&item).set(&shown, &self.context, replica, units)?;
        Ok(self.apply(item, change))
    }

    /// Removes all of `item`, of a cart that has no undecided checkouts; see [`Line::remove`].
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn remove(&mut self, replica: ReplicaId, item: K) -> Outcome<K, S, A> {
        let line = self.line(&item);
        let change = line.remove(&line, &self.context, replica, |_| true)?;
        Ok(self.apply(item, change))
    }

    /// Removes what `shown` shows of `item`: a view of this cart.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn remove_shown(&mut self, shown: &Self, replica: ReplicaId, item: K) -> Outcome<K, S, A> {
        let change = self.line(&item).remove(&shown.line(&item), &self.context, replica, |_| true)?;
        Ok(self.apply(item, change))
    }

    /// What its shopper is shown: the cart without what the `undecided` cuts hold.
    #[must_use]
    pub fn view<'a>(&self, undecided: impl IntoIterator<Item = &'a Delta<K, S, A>>) -> Self
    where
        K: 'a,
        S: 'a,
        A: 'a,
    {
        let mut view = self.clone();
        undecided.into_iter().for_each(|cut| view.join_delta(cut));
        view
    }

    /// Assigns the delivery address; see [`MvRegister::assign`].
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn assign_address(&mut self, replica: ReplicaId, address: A) -> Outcome<K, S, A> {
        let assignment = self.address.assign(&self.context, replica, address)?;
        Ok(self.apply_assignment(assignment))
    }

    /// Takes back the delivery address; see [`MvRegister::clear`].
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn clear_address(&mut self, replica: ReplicaId) -> Outcome<K, S, A> {
        let assignment = self.address.clear(&self.context, replica)?;
        Ok(self.apply_assignment(assignment))
    }

    /// Drops the spent entries that `replica` owns; see [`Line::retire`]. Returns a delta for each.
    pub fn retire(&mut self, replica: ReplicaId) -> Vec<Delta<K, S, A>> {
        let spent = self.lines.iter().filter_map(|(item, line)| Some((item.clone(), line.retire(replica)?)));
        let spent: Vec<_> = spent.collect();
        spent.into_iter().map(|(item, change)| self.apply(item, change)).collect()
    }

    /// The cut of a checkout by `replica`, to call on the [`Cart::view`] its shopper was shown: the delta that consumes exactly the units
    /// shown, and leaves the address alone. It is *not* joined: join it when the order is placed, drop it when the order fails. Its dot must
    /// be taken at once, by joining [`Delta::tick`] of it.
    ///
    /// It holds no unit that another undecided cut holds, since the view does not show those. So two checkouts that overlap are independent:
    /// each takes what it was charged for, whatever becomes of the other.
    ///
    /// # Errors
    /// [`CountersExhausted`].
    pub fn cut(&self, replica: ReplicaId) -> Result<(Dot, Delta<K, S, A>), CountersExhausted> {
        let operation = self.context.next_dot(replica)?;
        let mut cut = Delta::tick(operation);
        for (item, line) in &self.lines {
            let change = line.cut(operation);
            if !change.line.is_empty() {
                cut.push(item.clone(), change);
            }
        }
        Ok((operation, cut))
    }

    /// Joins another replica's whole state: a walk over both carts' lines, which allocates only for what is new here.
    pub fn join(&mut self, other: &Self) {
        let mut theirs = other.lines.iter().peekable();
        let mut new = Vec::new();
        let mut is_emptied = false;
        for (item, line) in &mut self.lines {
            while let Some(unseen) = theirs.next_if(|(their_item, _)| *their_item < item) {
                new.push(unseen);
            }
            match theirs.next_if(|(their_item, _)| *their_item == item) {
                Some((_, their_line)) => line.join(&self.context, their_line, &other.context),
                None => line.join(&self.context, &Line::default(), &other.context),
            }
            is_emptied |= line.is_empty();
        }
        if is_emptied {
            self.lines.retain(|_, line| !line.is_empty());
        }
        for (item, line) in new.into_iter().chain(theirs) {
            self.join_new_line(item, line, &other.context);
        }
        self.address.join(&other.address);
        self.context.join(&other.context);
    }

    /// Joins a delta, touching only the lines it names.
    ///
    /// Sound because a delta's context covers no dot of a line it does not name, but for entries that are nowhere any more
    /// (operation dots, see the crate's documentation).
    pub fn join_delta(&mut self, delta: &Delta<K, S, A>) {
        for (item, theirs) in &delta.lines {
            let Some(line) = self.lines.get_mut(item) else {
                self.join_new_line(item, theirs, &delta.context);
                continue;
            };
            line.join(&self.context, theirs, &delta.context);
            if line.is_empty() {
                self.lines.remove(item);
            }
        }
        self.address.join(&delta.address);
        self.context.join(&delta.context);
    }

    fn join_new_line(&mut self, item: &K, theirs: &Line<S>, context: &CausalContext) {
        let mut line = Line::default();
        line.join(&self.context, theirs, context);
        if !line.is_empty() {
            self.lines.insert(item.clone(), line);
        }
    }

    fn line(&self, item: &K) -> Line<S> {
        self.lines.get(item).cloned().unwrap_or_default()
    }

    fn apply(&mut self, item: K, change: Change<S>) -> Delta<K, S, A> {
        let delta = Delta::of_line(item, change);
        self.join_delta(&delta);
        delta
    }

    fn apply_assignment(&mut self, assignment: Assignment<A>) -> Delta<K, S, A> {
        let delta = Delta::of_address(assignment);
        self.join_delta(&delta);
        delta
    }
}

/// The state of a replica that has taken in this delta alone. Of bytes from [`crate::codec::encode_cart`] it is the whole cart.
impl<K: Ord + Clone, S: Denominated, A: Ord + Clone> From<Delta<K, S, A>> for Cart<K, S, A> {
    fn from(delta: Delta<K, S, A>) -> Self {
        Self::from_parts(delta.context, delta.lines).with_address(delta.address)
    }
}

/// The delta of an operation.
type Outcome<K, S, A> = Result<Delta<K, S, A>, CountersExhausted>;
