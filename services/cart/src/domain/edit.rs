//! What an edit of one line does.

use std::collections::BTreeSet;

use crdt::{CausalContext, Change, CountersExhausted, Denominated as _, ReplicaId};
use money::Currency;

use super::{
    CART_PRICES_MAX, CartDelta, Item, LINE_PRICES_MAX, LINE_UNITS_MAX, LINES_MAX, LineEntries, Quantity, Snapshot,
    ViewLine,
};

/// What a client asks of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Add units of the offer as it is now.
    Add(Quantity, Snapshot),
    /// Make the line have so many units. The offer as it is now is for units that are missing; see [`LineState::lacks`].
    Set(Quantity, Option<Snapshot>),
    /// Remove the line, or only its units in one currency.
    Remove(Option<Currency>),
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
    /// The currencies of the cart's other lines, those included that an undecided checkout holds.
    pub other_currencies: BTreeSet<Currency>,
    /// The prices of the cart's other lines, counted as by [`prices_of_line`].
    pub other_prices: usize,
}

impl LineState {
    /// Whether the shopper, who is shown fewer units of the line than these, asks for more of the offer.
    pub fn lacks(&self, item: &Item, quantity: Quantity) -> bool {
        (1..quantity.units()).contains(&visible_line(self, item).quantity())
    }

    /// The currencies of the cart, those included that an undecided checkout holds, which may show again.
    fn currencies(&self) -> BTreeSet<Currency> {
        let own = currencies_of_line(&self.line);
        own.union(&self.other_currencies).copied().collect()
    }
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
    /// The line that the shopper sees after the edit; `None` when it is gone.
    pub visible: Option<ViewLine>,
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
    /// Rejected and undecided orders, or changes of the price between adds, have left the line in too many pieces to keep.
    #[error(
        "orders and prices have left this line in too many pieces: order it, or remove it and add it anew; or wait until open orders are decided"
    )]
    LineInPieces,
    /// The lines have as many prices together as those of one cart may.
    #[error(
        "the price of what is in the cart has changed so often that it holds {CART_PRICES_MAX} prices, as many as it may: order it, or remove lines of several prices and add them anew; or wait until open orders are decided"
    )]
    PricesFull,
    /// The offer is priced in another currency than what is in the cart, or is held by an undecided order of it.
    #[error(
        "the cart holds amounts in another currency than the offer's: order or remove them first, or use another cart"
    )]
    CurrencyDiffers,
    /// The line has units in two currencies, of which no quantity can be made.
    #[error("the line has units in two currencies: remove those of one of them first")]
    MixedCurrencies,
    /// The offer has passed to another seller.
    #[error("the offer is another seller's now than that of the units in the cart: order or remove those first")]
    SellerChanged,
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
            Self::PricesFull => Some("CART_PRICES_FULL"),
            Self::CurrencyDiffers => Some("CART_CURRENCY_DIFFERS"),
            Self::MixedCurrencies => Some("MIXED_CURRENCIES"),
            Self::SellerChanged => Some("OFFER_SELLER_CHANGED"),
            Self::Exhausted(_) => None,
        }
    }

    /// By that name.
    pub fn from_stored_name(name: &str) -> Option<Self> {
        let all = [
            Self::LineNotFound,
            Self::CartFull,
            Self::LineFull,
            Self::LineInPieces,
            Self::PricesFull,
            Self::CurrencyDiffers,
            Self::MixedCurrencies,
            Self::SellerChanged,
        ];
        all.into_iter().find(|rejection| rejection.stored_name() == Some(name))
    }
}

/// Decides `edit` of the line of `item` as `replica`.
///
/// Each unit keeps the price at which the offer was shown when it was added: an add, and a set that raises, add units at the price of now; a
/// set that lowers takes the dearest first. A cart has one currency, and a line one seller; units that an undecided checkout holds count
/// too, since they may show again.
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
            may_add(state, snapshot)?;
            state.line.add(&state.context, replica, quantity.units(), snapshot.clone())?
        }
        Edit::Set(quantity, snapshot) => {
            match currencies_of_line(&seen).len() {
                0 => return Err(Rejection::LineNotFound),
                1 => {}
                _ => return Err(Rejection::MixedCurrencies),
            }
            let missing = snapshot.clone().filter(|_| state.lacks(item, *quantity));
            missing.as_ref().map_or(Ok(()), |snapshot| may_add(state, snapshot))?;
            state.line.set(&seen, &state.context, replica, seen.resized(quantity.units(), missing))?
        }
        Edit::Remove(currency) => {
            let wanted = |snapshot: &Snapshot| currency.is_none_or(|wanted| wanted == snapshot.denomination());
            if !seen.units().into_keys().any(wanted) {
                return Ok(None);
            }
            state.line.remove(&seen, &state.context, replica, wanted)?
        }
    };
    let edited = apply(state, item, change);
    let cuts = state.undecided_cuts.iter().filter_map(|cut| cut.lines.get(item));
    if edited.line.quantity() > LINE_UNITS_MAX && !matches!(edit, Edit::Remove(_)) {
        return Err(Rejection::LineFull);
    }
    crdt::has_room(&edited.line, cuts, replica).map_err(|_| Rejection::LineInPieces)?;
    may_have_prices(state, &edited.line)?;
    Ok(Some(edited))
}

/// Whether the line and the cart have room for the prices that an edit leaves. One that leaves no more of them than there were is never
/// refused: two regions together may have passed the bounds, and whoever has to remove something must be able to.
fn may_have_prices(state: &LineState, edited: &LineEntries) -> Result<(), Rejection> {
    let prices = prices_of_line(edited);
    if prices <= prices_of_line(&state.line) {
        Ok(())
    } else if prices > LINE_PRICES_MAX {
        Err(Rejection::LineInPieces)
    } else if state.other_prices + prices > CART_PRICES_MAX {
        Err(Rejection::PricesFull)
    } else {
        Ok(())
    }
}

/// Whether units of the offer as it is now may join what is in the cart.
fn may_add(state: &LineState, offer: &Snapshot) -> Result<(), Rejection> {
    if state.currencies().into_iter().any(|currency| currency != offer.denomination()) {
        return Err(Rejection::CurrencyDiffers);
    }
    let is_anothers = |snapshot: &Snapshot| snapshot.seller_id != offer.seller_id;
    if state.line.units().into_keys().any(is_anothers) { Err(Rejection::SellerChanged) } else { Ok(()) }
}

/// The currencies of a line's units.
pub fn currencies_of_line(line: &LineEntries) -> BTreeSet<Currency> {
    line.units().into_keys().map(Snapshot::denomination).collect()
}

/// How many prices a line's units have that are not gone, whether they are shown now or may show again: those that an undecided checkout
/// holds, and a set beside a larger one. So what the other region and orders do to this region's units never makes more of it.
pub fn prices_of_line(line: &LineEntries) -> usize {
    let mut prices = BTreeSet::new();
    for (_, entry) in line.entries() {
        prices.extend(entry.bands.split(&entry.live()).map(|(snapshot, _)| snapshot.unit_price));
    }
    prices.len()
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
        visible: ViewLine::of_line(item, &shown).into_iter().next(),
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
            other_currencies: BTreeSet::new(),
            other_prices: 0,
        }
    }

    fn set(units: i64, pence: Option<i64>) -> Edit {
        Edit::Set(units.try_into().unwrap(), pence.map(snapshot))
    }

    fn in_yen(amount: i64) -> Snapshot {
        Snapshot { unit_price: Money::new(amount, "JPY".parse().unwrap()), ..snapshot(1) }
    }

    /// Units by price, the dearest first, in minor units.
    fn prices(visible: Option<ViewLine>) -> Vec<(i64, u64)> {
        let prices = visible.map_or_else(Vec::new, |line| line.prices);
        prices.into_iter().map(|(price, units)| (price.minor_units(), units)).collect()
    }

    fn after(state: &LineState, edit: &Edit) -> (LineState, Vec<(i64, u64)>) {
        let edited = decide(state, &item(), edit, EAST).unwrap().unwrap();
        let next =
            LineState { context: edited.context, line: edited.line, line_count: edited.line_count, ..state.clone() };
        (next, prices(edited.visible))
    }

    #[test]
    fn each_unit_costs_what_was_shown_when_it_was_added_whichever_way_the_price_went() {
        for (before, now) in [(250, 999), (999, 250)] {
            let (state, _) = after(&empty(), &add(2, before));
            let (added, visible) = after(&state, &add(3, now));
            let mut expected = vec![(before, 2), (now, 3)];
            expected.sort_unstable_by_key(|(price, _)| std::cmp::Reverse(*price));
            assert_eq!((visible, added.line_count), (expected.clone(), 1));
            assert_eq!(after(&state, &set(5, Some(now))).1, expected, "a set that raises");
        }
    }

    #[test]
    fn a_set_that_lowers_takes_the_dearest_first_and_asks_no_price() {
        let (state, _) = after(&empty(), &add(2, 250));
        let (state, _) = after(&state, &add(3, 999));
        let four = 4.try_into().unwrap();
        assert!(!state.lacks(&item(), four) && state.lacks(&item(), 6.try_into().unwrap()));
        assert_eq!(after(&state, &Edit::Set(four, None)).1, [(999, 2), (250, 2)]);
        assert_eq!(after(&state, &set(2, None)).1, [(250, 2)]);
        assert_eq!(after(&state, &set(1, Some(100))).1, [(250, 1)], "today's price is for units that are missing");
        assert_eq!(after(&state, &set(5, Some(100))).1, [(999, 3), (250, 2)], "as many as before");
    }

    #[test]
    fn set_replaces_and_remove_deletes() {
        let (state, _) = after(&empty(), &add(2, 250));
        let (state, visible) = after(&state, &set(7, Some(250)));
        assert_eq!(visible, [(250, 7)]);
        let (state, visible) = after(&state, &Edit::Remove(None));
        assert_eq!((visible, state.line.is_empty(), state.line_count), (vec![], true, 0));
        assert!(decide(&state, &item(), &Edit::Remove(None), EAST).unwrap().is_none());
        assert_eq!(decide(&state, &item(), &set(1, Some(250)), EAST).unwrap_err(), Rejection::LineNotFound);
    }

    #[test]
    fn a_cart_has_one_currency_that_of_units_an_order_holds_too() {
        let yen = Edit::Add(1.try_into().unwrap(), in_yen(9_000));
        let refused = |state: &LineState, edit: &Edit| decide(state, &item(), edit, EAST).unwrap_err();
        let (state, _) = after(&empty(), &add(2, 250));
        assert_eq!(refused(&state, &yen), Rejection::CurrencyDiffers);
        let raise = Edit::Set(3.try_into().unwrap(), Some(in_yen(9_000)));
        assert_eq!(refused(&state, &raise), Rejection::CurrencyDiffers);
        let other = LineState { other_currencies: ["GBP".parse().unwrap()].into(), ..empty() };
        assert_eq!(refused(&other, &yen), Rejection::CurrencyDiffers);

        let cart = CartState::from_parts(state.context.clone(), [(item(), state.line.clone())]);
        let (operation, cut) = cart.cut(EAST).unwrap();
        let mut context = state.context.clone();
        context.insert(operation);
        let held = LineState { context, undecided_cuts: vec![cut], ..state.clone() };
        assert_eq!(refused(&held, &yen), Rejection::CurrencyDiffers, "a rejected order would bring pounds back");

        let (emptied, _) = after(&state, &Edit::Remove(None));
        assert_eq!(after(&emptied, &yen).1, [(9_000, 1)]);
    }

    /// The regions could not talk, and the offer's currency changed in between.
    #[test]
    fn two_currencies_that_meet_stay_apart_until_the_shopper_removes_one() {
        let (mut state, _) = after(&empty(), &add(2, 7_000));
        let west = LineEntries::default().add(&CausalContext::new(), ReplicaId(2), 1, in_yen(9_000)).unwrap();
        state.line.join(&state.context, &west.line, &west.context);
        state.context.join(&west.context);
        let shown = ViewLine::of_line(&item(), &state.line);
        let shown: Vec<_> = shown.iter().map(|line| (line.dearest().unwrap().to_string(), line.quantity())).collect();
        assert_eq!(shown.len(), 2, "{shown:?}");
        assert_eq!(decide(&state, &item(), &set(1, None), EAST).unwrap_err(), Rejection::MixedCurrencies);
        assert_eq!(decide(&state, &item(), &add(1, 7_000), EAST).unwrap_err(), Rejection::CurrencyDiffers);
        let (state, visible) = after(&state, &Edit::Remove(Some("JPY".parse().unwrap())));
        assert_eq!(visible, [(7_000, 2)]);
        assert_eq!(after(&state, &add(1, 8_000)).1, [(8_000, 1), (7_000, 2)]);
    }

    #[test]
    fn a_line_has_one_seller() {
        let (state, _) = after(&empty(), &add(2, 250));
        let other = Snapshot { seller_id: "turners".parse().unwrap(), ..snapshot(250) };
        let edit = Edit::Add(1.try_into().unwrap(), other);
        assert_eq!(decide(&state, &item(), &edit, EAST).unwrap_err(), Rejection::SellerChanged);
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
    fn the_edit_that_would_pass_a_bound_on_prices_is_refused_and_what_is_there_can_be_changed() {
        let many = |state: LineState, from: i64, prices: usize| {
            (from..).take(prices).fold(state, |state, price| after(&state, &add(1, price)).0)
        };
        let room_for_two = LineState { other_prices: CART_PRICES_MAX - 2, ..empty() };
        let full = many(room_for_two, 1, 2);
        for edit in [add(1, 3), set(3, Some(3))] {
            assert_eq!(decide(&full, &item(), &edit, EAST).unwrap_err(), Rejection::PricesFull);
        }
        assert_eq!(after(&full, &add(1, 2)).1, [(2, 2), (1, 1)], "at a price that is there");
        // The other region has added too, so that both together have passed it.
        let over = LineState { other_prices: CART_PRICES_MAX + 7, ..full };
        assert_eq!(after(&over, &add(1, 2)).1, [(2, 2), (1, 1)]);
        assert_eq!(after(&over, &set(1, None)).1, [(1, 1)]);
        assert_eq!(after(&over, &Edit::Remove(None)).1, []);
    }

    /// A set and an add of one region, each with as many prices as an entry may have.
    #[test]
    fn a_line_of_several_entries_has_no_more_prices_than_a_line_may() {
        let mut state = empty();
        for price in 1..=LINE_PRICES_MAX as i64 {
            state = after(&state, &add(1, price)).0;
        }
        let (state, _) = after(&state, &set(LINE_PRICES_MAX as i64 - 1, None));
        let (state, visible) = after(&state, &add(1, 1_000));
        assert!(state.line.entries().count() > 1);
        assert_eq!((visible.len(), prices_of_line(&state.line)), (LINE_PRICES_MAX, LINE_PRICES_MAX));
        assert_eq!(decide(&state, &item(), &add(1, 1_001), EAST).unwrap_err(), Rejection::LineInPieces);

        // What an order holds may show again, and counts.
        let cart = CartState::from_parts(state.context.clone(), [(item(), state.line.clone())]);
        let (operation, cut) = cart.cut(EAST).unwrap();
        let mut context = state.context.clone();
        context.insert(operation);
        let held = LineState { context, undecided_cuts: vec![cut], ..state };
        assert_eq!(decide(&held, &item(), &add(1, 1_001), EAST).unwrap_err(), Rejection::LineInPieces);
    }

    #[test]
    fn a_cut_hides_what_it_saw_and_shows_what_came_after() {
        let (state, _) = after(&empty(), &add(2, 250));
        let cart = CartState::from_parts(state.context.clone(), [(item(), state.line.clone())]);
        let (operation, cut) = cart.cut(EAST).unwrap();
        let mut context = state.context.clone();
        context.insert(operation);
        let hidden = LineState { context, undecided_cuts: vec![cut.clone()], ..state };

        let (grown, visible) = after(&hidden, &add(3, 300));
        assert_eq!(visible, [(300, 3)], "only what was added since shows");

        // Ordered: the cut is joined and 3 are left. Abandoned: all 5 are back.
        let state = CartState::from_parts(grown.context.clone(), [(item(), grown.line.clone())]);
        assert_eq!(ViewLine::of(&view(&state, &[cut]))[0].quantity(), 3);
        assert_eq!(ViewLine::of(&view(&state, &[]))[0].quantity(), 5);
    }
}
