//! What an edit of one line does.

use crdt::{CausalContext, Change, CountersExhausted, ReplicaId};

use super::{CartDelta, Item, LINE_UNITS_MAX, LINES_MAX, LineEntries, Quantity, Snapshot};

/// What a client asks of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Add units. The snapshot is for a line that is not in the cart yet.
    Add(Quantity, Snapshot),
    /// Replace the quantity.
    Set(Quantity),
    /// Remove the line.
    Remove,
}

/// One line and what is needed to edit it.
#[derive(Clone, Debug)]
pub struct LineState {
    /// The cart's causal context.
    pub context: CausalContext,
    /// The line's entries; none for a line that is not there.
    pub line: LineEntries,
    /// The cuts of undecided checkouts of the cart.
    pub undecided_cuts: Vec<CartDelta>,
    /// Stored lines of the cart, this one included if it is there.
    pub line_count: usize,
}

/// What to store and ship.
#[derive(Clone, Debug)]
pub struct EditedLine {
    /// The causal context after the edit.
    pub context: CausalContext,
    /// The line after the edit; without entries it is to be deleted.
    pub line: LineEntries,
    /// What to ship to the other region.
    pub delta: CartDelta,
    /// Lines of the cart after the edit.
    pub line_count: usize,
    /// Units and snapshot the shopper sees after the edit; `None` when the line is gone.
    pub visible: Option<(u64, Snapshot)>,
}

/// Why an edit is refused. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The line is not in the visible cart, so there is nothing to set.
    #[error("the cart has no such line; add the offer first")]
    LineNotFound,
    /// The cart has as many lines as it may.
    #[error("the cart is full: {LINES_MAX} lines; order or remove some first")]
    CartFull,
    /// The line has as many units as it may.
    #[error("a line holds at most {LINE_UNITS_MAX} units")]
    LineFull,
    /// Rejected and undecided orders have left the line in too many pieces to keep.
    #[error(
        "orders have left this line in too many pieces: remove it and add it anew, or wait until open orders are decided"
    )]
    LineInPieces,
    /// The counters of this replica are used up: a corrupt one was let in.
    #[error(transparent)]
    Exhausted(#[from] CountersExhausted),
}

impl Rejection {
    /// The name under which it is kept as the outcome of its request: never change one. `None` for what is no answer to keep.
    pub const fn stored_name(self) -> Option<&'static str> {
        match self {
            Self::LineNotFound => Some("LINE_NOT_FOUND"),
            Self::CartFull => Some("CART_FULL"),
            Self::LineFull => Some("LINE_FULL"),
            Self::LineInPieces => Some("LINE_IN_PIECES"),
            Self::Exhausted(_) => None,
        }
    }

    /// By that name.
    pub fn from_stored_name(name: &str) -> Option<Self> {
        [Self::LineNotFound, Self::CartFull, Self::LineFull, Self::LineInPieces]
            .into_iter()
            .find(|rejection| rejection.stored_name() == Some(name))
    }
}

/// Decides `edit` of the line of `item` as `replica`.
///
/// An add counts on the stored line. Set and remove act on the *visible* line: they replace the units that the shopper was shown and leave
/// alone those that an undecided checkout holds, which show again if its order is rejected. The limit of a line counts those too.
/// `None` when nothing changes: the removal of a line that is not visible.
///
/// # Errors
/// [`Rejection`].
pub fn decide(
    state: &LineState,
    item: &Item,
    edit: &Edit,
    replica: ReplicaId,
) -> Result<Option<EditedLine>, Rejection> {
    let seen = visible_line(state, item);
    let change = match edit {
        Edit::Add(quantity, snapshot) => {
            let is_new = state.line.is_empty();
            if is_new && state.line_count >= LINES_MAX {
                return Err(Rejection::CartFull);
            }
            state.line.add(&state.context, replica, quantity.units(), snapshot.clone())?
        }
        Edit::Set(quantity) => {
            let snapshot = seen.snapshot().cloned().ok_or(Rejection::LineNotFound)?;
            state.line.set(&seen, &state.context, replica, quantity.units(), snapshot)?
        }
        Edit::Remove if seen.quantity() == 0 => return Ok(None),
        Edit::Remove => state.line.remove(&seen, &state.context, replica)?,
    };
    let edited = apply(state, item, change);
    let cuts = state.undecided_cuts.iter().filter_map(|cut| cut.lines.get(item));
    if edited.line.quantity() > LINE_UNITS_MAX && !matches!(edit, Edit::Remove) {
        return Err(Rejection::LineFull);
    }
    crdt::has_room(&edited.line, cuts, replica).map_err(|_| Rejection::LineInPieces)?;
    Ok(Some(edited))
}

fn apply(state: &LineState, item: &Item, change: Change<Snapshot>) -> EditedLine {
    let line = state.line.joined(&state.context, &change);
    let mut context = state.context.clone();
    context.join(&change.context);
    let before = usize::from(!state.line.is_empty());
    let after = usize::from(!line.is_empty());
    let edited = LineState { line: line.clone(), context: context.clone(), ..state.clone() };
    let shown = visible_line(&edited, item);
    EditedLine {
        visible: shown.snapshot().cloned().map(|snapshot| (shown.quantity(), snapshot)),
        line_count: (state.line_count + after).saturating_sub(before),
        delta: CartDelta::of_line(item.clone(), change),
        context,
        line,
    }
}

/// The line as the shopper sees it: joined with the undecided cuts.
fn visible_line(state: &LineState, item: &Item) -> LineEntries {
    let mut line = state.line.clone();
    for cut in &state.undecided_cuts {
        if let Some(cut_line) = cut.lines.get(item) {
            line.join(&state.context, cut_line, &cut.context);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use money::Money;

    use super::*;
    use crate::domain::{CartState, ViewLine, view};

    const EAST: ReplicaId = ReplicaId(1);

    fn snapshot(pence: i64) -> Snapshot {
        let unit_price = Money::new(pence, "GBP".parse().unwrap());
        Snapshot { unit_price, seller_id: "potters".parse().unwrap(), title: "Mug".to_owned() }
    }

    fn add(units: i64, pence: i64) -> Edit {
        Edit::Add(units.try_into().unwrap(), snapshot(pence))
    }

    fn item() -> Item {
        Item("mug".parse().unwrap())
    }

    fn empty() -> LineState {
        LineState {
            context: CausalContext::new(),
            line: LineEntries::default(),
            undecided_cuts: Vec::new(),
            line_count: 0,
        }
    }

    fn after(state: &LineState, edit: &Edit) -> (LineState, Option<(u64, Snapshot)>) {
        let edited = decide(state, &item(), edit, EAST).unwrap().unwrap();
        let next =
            LineState { context: edited.context, line: edited.line, line_count: edited.line_count, ..state.clone() };
        (next, edited.visible)
    }

    #[test]
    fn adds_sum_at_the_price_first_seen() {
        let (state, _) = after(&empty(), &add(2, 250));
        let (state, visible) = after(&state, &add(3, 999));
        assert_eq!(visible, Some((5, snapshot(250))));
        assert_eq!(state.line_count, 1);
    }

    #[test]
    fn set_replaces_and_remove_deletes() {
        let (state, _) = after(&empty(), &add(2, 250));
        let (state, visible) = after(&state, &Edit::Set(7.try_into().unwrap()));
        assert_eq!(visible, Some((7, snapshot(250))));
        let (state, visible) = after(&state, &Edit::Remove);
        assert_eq!((visible, state.line.is_empty(), state.line_count), (None, true, 0));
        assert!(decide(&state, &item(), &Edit::Remove, EAST).unwrap().is_none());
        assert_eq!(
            decide(&state, &item(), &Edit::Set(1.try_into().unwrap()), EAST).unwrap_err(),
            Rejection::LineNotFound
        );
    }

    #[test]
    fn limits_hold() {
        let full = LineState { line_count: LINES_MAX, ..empty() };
        assert_eq!(decide(&full, &item(), &add(1, 250), EAST).unwrap_err(), Rejection::CartFull);
        let mut state = empty();
        for _ in 0..100 {
            state = after(&state, &add(10_000, 1)).0;
        }
        assert_eq!(decide(&state, &item(), &add(1, 1), EAST).unwrap_err(), Rejection::LineFull);
        for units in [i64::MIN, -1, 0, 10_001, i64::MAX] {
            assert_eq!(Quantity::try_from(units), Err(UnitsOutOfRange), "{units}");
        }
    }
    use crate::domain::UnitsOutOfRange;

    #[test]
    fn a_cut_hides_what_it_saw_and_shows_what_came_after() {
        let (state, _) = after(&empty(), &add(2, 250));
        let cart = CartState::from_parts(state.context.clone(), [(item(), state.line.clone())]);
        let (operation, cut) = cart.cut(EAST).unwrap();
        let mut context = state.context.clone();
        context.insert(operation);
        let hidden = LineState { context, undecided_cuts: vec![cut.clone()], ..state };

        let (grown, visible) = after(&hidden, &add(3, 300));
        assert_eq!(visible, Some((3, snapshot(250))), "only what was added since shows");

        // Ordered: the cut is joined and 3 are left. Abandoned: all 5 are back.
        let state = CartState::from_parts(grown.context.clone(), [(item(), grown.line.clone())]);
        assert_eq!(ViewLine::of(&view(&state, &[cut]))[0].quantity, 3);
        assert_eq!(ViewLine::of(&view(&state, &[]))[0].quantity, 5);
    }
}
