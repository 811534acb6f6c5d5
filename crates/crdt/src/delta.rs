//! What operations did to a cart: what to join here and ship there.

use std::collections::BTreeMap;
use std::convert::Infallible;

use crate::context::CausalContext;
use crate::dot::Dot;
use crate::line::{Change, Line};
use crate::register::{Assignment, MvRegister};

/// What one or more operations did. Unlike a state, it may name a line without entries: that line was emptied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta<K, S, A = Infallible> {
    /// The operations' dots, the dots of the entries and assignments carried, and the dots removed from the lines named.
    pub context: CausalContext,
    /// The lines touched, by item.
    pub lines: BTreeMap<K, Line<S>>,
    /// The address's assignments made and replaced; untouched when the operations leave it alone.
    pub address: MvRegister<A>,
}

impl<K: Ord, S, A> Delta<K, S, A> {
    /// The delta of one line's change.
    pub fn of_line(item: K, change: Change<S>) -> Self {
        let lines = BTreeMap::from([(item, change.line)]);
        Self { context: change.context, lines, address: MvRegister::default() }
    }

    /// The delta of an assignment of the address.
    pub fn of_address(assignment: Assignment<A>) -> Self {
        Self { context: assignment.context, lines: BTreeMap::new(), address: assignment.register }
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
        Self { context: [operation].into_iter().collect(), lines: BTreeMap::new(), address: MvRegister::default() }
    }
}
