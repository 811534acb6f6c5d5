//! Mending a cart of which a stored value cannot be read: what it comes to, from all that can be read of it in both regions.
//!
//! What a region has of a line is what its row says *and* what its log says: an operation stays in the log until the other region has it.
//! So a line that cannot be read here is the other region's, joined with what was done here since. That loses nothing. Only a line
//! that cannot be read in either region is lost.
//!
//! The ground rules, which keep both regions' carts one and the same CRDT:
//! - A value is joined under the context of its own region, and of a region whose context cannot be read under the dots that it is known
//!   to have seen: those of its entries, its log and its checkouts. A line that is not readable is joined under *no* context: that it
//!   shows no entries says nothing about whether they were removed.
//! - The new context covers everything that was joined, so that no dot is issued again. Where our own context cannot be read it may have
//!   named more of our dots than any that is found. Those it can have named are skipped ([`SKIPPED`]).
//! - It takes a dot: nobody who holds a version from before orders what the cart shows now.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crdt::{CausalContext, CountersExhausted, Dot, MvRegister, Overgrown, ReplicaId};

use super::{Address, CartDelta, CartState, Item, JOINED_LINES_MAX, LineEntries};

/// Dots of ours that are never issued after our own context could not be read. Of ours none is unknown unless its operation is trimmed
/// from the log, and then the other region has acknowledged it: it has its dot, or has refused it because its own cart could not be read.
/// So this is how many edits of one cart the other region may have refused before they were trimmed: a change every minute for two years.
pub const SKIPPED: u64 = 1_000_000;

/// What can be read of a cart in a region.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The causal context.
    pub context: Option<CausalContext>,
    /// The delivery address.
    pub address: Option<MvRegister<Address>>,
    /// The lines that are stored; `None` for one that cannot be read.
    pub lines: BTreeMap<Item, Option<LineEntries>>,
    /// What this region did, as far as its log holds it.
    pub done: Vec<CartDelta>,
    /// What its checkouts tell that it had seen.
    pub seen: CausalContext,
}

/// A region that has nothing of the cart.
impl Default for Kept {
    fn default() -> Self {
        Self {
            context: Some(CausalContext::new()),
            address: Some(MvRegister::default()),
            lines: BTreeMap::new(),
            done: Vec::new(),
            seen: CausalContext::new(),
        }
    }
}

/// The cart, whole again.
#[derive(Clone, Debug)]
pub struct Mended {
    /// Its state.
    pub state: CartState,
    /// The dot of the mending.
    pub operation: Dot,
    /// Lines that neither region can read.
    pub lost: BTreeSet<Item>,
    /// Neither region can read the address: what the logs tell of it is all there is.
    pub address_is_lost: bool,
}

/// Why it cannot be mended. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CannotMend {
    /// The counters of this replica are used up.
    #[error(transparent)]
    Exhausted(#[from] CountersExhausted),
    /// What it comes to could not be read again.
    #[error(transparent)]
    Overgrown(#[from] Overgrown),
    /// The cart would become larger than any two regions can make it.
    #[error("cart would have more than {JOINED_LINES_MAX} lines")]
    CartFull,
}

impl Kept {
    /// What the region has of a line, and under which context; `None` when it cannot be read.
    fn line(&self, item: &Item) -> Option<(Cow<'_, LineEntries>, CausalContext)> {
        let line = match self.lines.get(item) {
            Some(None) => return None,
            Some(Some(line)) => Cow::Borrowed(line),
            None => Cow::Owned(LineEntries::default()),
        };
        let context = self.context.clone().unwrap_or_else(|| {
            let mut context = self.seen.clone();
            line.entries().for_each(|(dot, _)| context.insert(dot));
            context
        });
        Some((line, context))
    }

    /// Every dot that the region is known to have seen.
    fn known(&self) -> CausalContext {
        let mut known = self.context.clone().unwrap_or_default();
        known.join(&self.seen);
        let entries = self.lines.values().flatten().flat_map(LineEntries::entries).map(|(dot, _)| dot);
        entries.chain(self.address.iter().flat_map(MvRegister::dots)).for_each(|dot| known.insert(dot));
        self.done.iter().for_each(|delta| known.join(&delta.context));
        known
    }

    fn items(&self) -> impl Iterator<Item = &Item> {
        self.lines.keys().chain(self.done.iter().flat_map(|delta| delta.lines.keys()))
    }
}

/// What a cart comes to of which `ours`, the region of `replica`, cannot read all, with what the other region has of it.
///
/// # Errors
/// [`CannotMend`].
pub fn mend(ours: &Kept, theirs: &Kept, replica: ReplicaId) -> Result<Mended, CannotMend> {
    let mut lost = BTreeSet::new();
    let mut lines = Vec::new();
    for item in ours.items().chain(theirs.items()).collect::<BTreeSet<_>>() {
        let readable = [ours.line(item), theirs.line(item)];
        if readable.iter().all(Option::is_none) {
            lost.insert(item.clone());
            continue;
        }
        let (mut line, mut context) = (LineEntries::default(), CausalContext::new());
        for (entries, seen) in readable.iter().flatten() {
            line.join(&context, entries, seen);
            context.join(seen);
        }
        for delta in ours.done.iter().chain(&theirs.done) {
            if let Some(changed) = delta.lines.get(item) {
                line.join(&context, changed, &delta.context);
                context.join(&delta.context);
            }
        }
        if !line.is_empty() {
            lines.push((item.clone(), line));
        }
    }
    if lines.len() > JOINED_LINES_MAX {
        return Err(CannotMend::CartFull);
    }
    // Each replica's later assignment stands over its earlier ones, so the logs' add nothing to a register that can be read.
    let mut address = MvRegister::default();
    ours.address.iter().chain(&theirs.address).for_each(|register| address.join(register));
    ours.done.iter().chain(&theirs.done).for_each(|delta| address.join(&delta.address));

    let mut context = ours.known();
    context.join(&theirs.known());
    if ours.context.is_none() {
        context.insert_through(Dot::new(replica, context.greatest(replica) + SKIPPED));
    }
    let operation = context.next_dot(replica)?;
    context.insert(operation);
    crdt::validate_joined(&context, lines.iter().map(|(_, line)| line))?;
    Ok(Mended {
        state: CartState::from_parts(context, lines).with_address(address),
        operation,
        lost,
        address_is_lost: ours.address.is_none() && theirs.address.is_none(),
    })
}

#[cfg(test)]
mod tests {
    use money::Money;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Snapshot;

    const EAST: ReplicaId = ReplicaId(1);
    const WEST: ReplicaId = ReplicaId(2);

    fn item(name: &str) -> Item {
        Item(name.parse().unwrap())
    }

    fn snapshot() -> Snapshot {
        let unit_price = Money::new(250, "GBP".parse().unwrap());
        Snapshot { unit_price, seller_id: "potters".parse().unwrap(), title: "Mug".to_owned() }
    }

    /// A region's cart, and the end of its log: what the other region has is trimmed.
    #[derive(Clone)]
    struct Side {
        replica: ReplicaId,
        cart: CartState,
        log: Vec<CartDelta>,
    }

    impl Side {
        fn new(replica: ReplicaId) -> Self {
            Self { replica, cart: CartState::default(), log: Vec::new() }
        }

        fn edit(&mut self, edit: u8, name: &str, units: u64) {
            let delta = match edit {
                0 | 1 => self.cart.add(self.replica, item(name), units, snapshot()),
                2 => self.cart.set(self.replica, item(name), units, snapshot()),
                _ => self.cart.remove(self.replica, item(name)),
            };
            self.log.push(delta.unwrap());
        }

        fn hear(&mut self, other: &mut Self) {
            other.log.drain(..).for_each(|delta| self.cart.join_delta(&delta));
            self.log.extend(self.cart.retire(self.replica));
        }

        fn kept(&self) -> Kept {
            let lines = self.cart.lines().map(|(item, line)| (item.clone(), Some(line.clone()))).collect();
            Kept {
                context: Some(self.cart.context().clone()),
                address: Some(self.cart.address().clone()),
                lines,
                done: self.log.clone(),
                seen: CausalContext::new(),
            }
        }
    }

    fn edits() -> impl Strategy<Value = Vec<(u8, u8, u8, u64)>> {
        prop::collection::vec((0_u8..4, 0_u8..4, 0_u8..3, 1_u64..5), 1..25)
    }

    proptest! {
        /// Whatever of a cart cannot be read in one region, and whatever was done in either since they last talked, nothing of it is lost,
        /// and nothing that was removed comes back.
        #[test]
        fn prop_what_one_region_cannot_read_comes_back_whole(edits in edits(), broken in 0_u8..8) {
            let names = ["a", "b", "c"];
            let (mut east, mut west) = (Side::new(EAST), Side::new(WEST));
            for (who, edit, name, units) in edits {
                match who {
                    0 => east.edit(edit, names[usize::from(name)], units),
                    1 => west.edit(edit, names[usize::from(name)], units),
                    2 => east.hear(&mut west),
                    _ => west.hear(&mut east),
                }
            }
            let mut whole = east.cart.clone();
            whole.join(&west.cart);

            let mut ours = east.kept();
            for (bit, name) in names[..2].iter().enumerate() {
                if broken & 1 << bit != 0
                    && let Some(line) = ours.lines.get_mut(&item(name))
                {
                    *line = None;
                }
            }
            if broken & 4 != 0 {
                ours.context = None;
            }
            let mended = mend(&ours, &west.kept(), EAST).unwrap();
            prop_assert!(mended.lost.is_empty());
            prop_assert!(mended.state.lines().eq(whole.lines()));
            prop_assert!(mended.state.context().covers(whole.context()));
            // A dot that nobody has issued.
            prop_assert!(mended.operation.counter > whole.context().greatest(EAST));

            // The other region comes to the same, and what was under way between them changes nothing.
            let mut there = west.cart.clone();
            there.join(&mended.state);
            prop_assert_eq!(&there, &mended.state);
            let mut late = mended.state.clone();
            east.log.iter().chain(&west.log).for_each(|delta| late.join_delta(delta));
            prop_assert_eq!(&late, &mended.state);
        }
    }

    #[test]
    fn a_line_that_neither_region_can_read_is_dropped_and_the_others_stay() {
        let (mut east, mut west) = (Side::new(EAST), Side::new(WEST));
        east.edit(0, "mug", 2);
        west.hear(&mut east);
        west.edit(0, "cup", 3);
        let (mut ours, mut theirs) = (east.kept(), west.kept());
        ours.lines.insert(item("mug"), None);
        theirs.lines.insert(item("mug"), None);
        let mended = mend(&ours, &theirs, EAST).unwrap();
        assert_eq!(mended.lost, [item("mug")].into());
        assert_eq!(mended.state.visible().collect::<Vec<_>>(), [(&item("cup"), 3)]);
        // Then the other region is mended from this one: it drops the line too.
        let ours = Side { cart: mended.state.clone(), ..east }.kept();
        let there = mend(&theirs, &ours, WEST).unwrap();
        assert!(there.lost.is_empty());
        assert!(there.state.lines().eq(mended.state.lines()));
    }

    #[test]
    fn each_region_gives_the_other_what_that_one_cannot_read() {
        let (mut east, mut west) = (Side::new(EAST), Side::new(WEST));
        east.edit(0, "mug", 2);
        east.edit(0, "cup", 3);
        west.hear(&mut east);
        let (mut ours, mut theirs) = (east.kept(), west.kept());
        ours.lines.insert(item("mug"), None);
        theirs.lines.insert(item("cup"), None);
        let mended = mend(&ours, &theirs, EAST).unwrap();
        assert!(mended.lost.is_empty());
        assert_eq!(mended.state.visible().collect::<Vec<_>>(), [(&item("cup"), 3), (&item("mug"), 2)]);
    }

    #[test]
    fn dots_that_an_unreadable_context_may_have_named_are_skipped() {
        let mut east = Side::new(EAST);
        east.edit(0, "mug", 2);
        let ours = Kept { context: None, ..east.kept() };
        let mended = mend(&ours, &Kept::default(), EAST).unwrap();
        assert_eq!(mended.operation, Dot::new(EAST, 1 + SKIPPED + 1));
        assert!(mended.state.context().cloud().is_empty(), "later edits must not pile up behind a gap");
    }
}
