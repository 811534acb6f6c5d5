//! What a shopper sees: the state joined with the cuts of undecided checkouts.

use ids::OfferId;
use money::{Money, MoneyError};

use super::{CartDelta, CartState, Snapshot};

/// A visible line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewLine {
    /// The offer.
    pub offer_id: OfferId,
    /// Units, 1 or more.
    pub quantity: u64,
    /// As it was added.
    pub snapshot: Snapshot,
}

/// The visible cart. A cut hides exactly what its checkout saw, so an add made since then shows.
pub fn view(state: &CartState, undecided_cuts: &[CartDelta]) -> CartState {
    state.view(undecided_cuts)
}

impl ViewLine {
    /// The visible lines of a view, by offer.
    pub fn of(view: &CartState) -> Vec<Self> {
        let line = |(item, quantity, snapshot): (&super::Item, u64, &Snapshot)| Self {
            offer_id: item.0.clone(),
            quantity,
            snapshot: snapshot.clone(),
        };
        view.visible().map(line).collect()
    }
}

/// What the lines cost together; `None` when there are none or their currencies differ.
pub fn total(lines: &[ViewLine]) -> Option<Money> {
    let cost = |line: &ViewLine| {
        let quantity = i64::try_from(line.quantity).map_err(|_| MoneyError::Overflow)?;
        line.snapshot.unit_price.checked_mul(quantity)
    };
    let costs: Result<Vec<Money>, MoneyError> = lines.iter().map(cost).collect();
    Money::checked_sum(costs.ok()?).ok().flatten()
}
