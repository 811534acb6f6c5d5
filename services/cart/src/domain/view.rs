//! What a shopper sees: the state joined with the cuts of undecided checkouts.

use std::collections::{BTreeMap, BTreeSet};

use crdt::Denominated as _;
use ids::{OfferId, SellerId};
use money::{Currency, Money, MoneyError};

use super::{CartDelta, CartState, Item, JOINED_PRICES_MAX, LINES_MAX, LineEntries};

/// A visible line: the units of one offer in one currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewLine {
    /// The offer.
    pub offer_id: OfferId,
    /// Who earns it.
    pub seller_id: SellerId,
    /// The offer's title when units were added.
    pub title: String,
    /// Units by price, the dearest first, each price once; all of one currency. Never empty, and none of no units.
    pub prices: Vec<(Money, u64)>,
}

/// The visible cart. A cut hides exactly what its checkout saw, so an add made since then shows.
pub fn view(state: &CartState, undecided_cuts: &[CartDelta]) -> CartState {
    state.view(undecided_cuts)
}

impl ViewLine {
    /// The visible lines of a view, by offer, then currency.
    pub fn of(view: &CartState) -> Vec<Self> {
        view.lines().flat_map(|(item, line)| Self::of_line(item, line)).collect()
    }

    /// The visible lines of one offer: one, unless regions that could not talk were given units of it in two currencies.
    ///
    /// Seller and title are those of the cheapest unit, the same in both regions.
    pub fn of_line(item: &Item, line: &LineEntries) -> Vec<Self> {
        let mut by_currency: BTreeMap<Currency, Self> = BTreeMap::new();
        // By snapshot, so by price.
        for (snapshot, units) in line.units() {
            let empty = || Self {
                offer_id: item.0.clone(),
                seller_id: snapshot.seller_id.clone(),
                title: snapshot.title.clone(),
                prices: Vec::new(),
            };
            let shown = by_currency.entry(snapshot.denomination()).or_insert_with(empty);
            match shown.prices.first_mut() {
                Some((price, same)) if *price == snapshot.unit_price => *same = same.saturating_add(units),
                _ => shown.prices.insert(0, (snapshot.unit_price, units)),
            }
        }
        by_currency.into_values().collect()
    }

    /// All units. Saturates.
    pub fn quantity(&self) -> u64 {
        self.prices.iter().fold(0, |sum, (_, units)| u64::saturating_add(sum, *units))
    }

    /// The price of the dearest unit.
    pub fn dearest(&self) -> Option<Money> {
        self.prices.first().map(|(price, _)| *price)
    }
}

/// What the lines cost together; `None` when there are none or their currencies differ.
pub fn total(lines: &[ViewLine]) -> Option<Money> {
    let cost = |(price, units): &(Money, u64)| {
        let units = i64::try_from(*units).map_err(|_| MoneyError::Overflow)?;
        price.checked_mul(units)
    };
    let costs: Result<Vec<Money>, MoneyError> = lines.iter().flat_map(|line| &line.prices).map(cost).collect();
    Money::checked_sum(costs.ok()?).ok().flatten()
}

/// Both regions together have made the cart larger than an order may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the cart shows {lines} lines at {prices} prices, and an order has at most {LINES_MAX} at {JOINED_PRICES_MAX}: remove some lines, order, then add them anew"
)]
pub struct TooLarge {
    lines: usize,
    prices: usize,
}

/// Whether the lines are no more than an order holds.
///
/// # Errors
/// [`TooLarge`].
pub fn fits_an_order(lines: &[ViewLine]) -> Result<(), TooLarge> {
    let prices = lines.iter().map(|line| line.prices.len()).sum();
    let fits = lines.len() <= LINES_MAX && prices <= JOINED_PRICES_MAX;
    if fits { Ok(()) } else { Err(TooLarge { lines: lines.len(), prices }) }
}

/// The currencies of the lines.
pub fn currencies_of(lines: &[ViewLine]) -> BTreeSet<Currency> {
    lines.iter().filter_map(ViewLine::dearest).map(|price| price.currency()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(prices: usize) -> ViewLine {
        let price = |minor| (Money::new(minor, "GBP".parse().unwrap()), 1);
        ViewLine {
            offer_id: "mug".parse().unwrap(),
            seller_id: "potters".parse().unwrap(),
            title: "Mug".to_owned(),
            prices: (1..).map(price).take(prices).collect(),
        }
    }

    #[test]
    fn more_lines_or_prices_than_an_order_holds_are_not_ordered() {
        let each = JOINED_PRICES_MAX / LINES_MAX;
        let mut lines = vec![line(each); LINES_MAX];
        assert_eq!(fits_an_order(&lines), Ok(()));
        lines[0] = line(each + 1);
        assert_eq!(fits_an_order(&lines), Err(TooLarge { lines: LINES_MAX, prices: JOINED_PRICES_MAX + 1 }));
        let lines = vec![line(1); LINES_MAX + 1];
        assert_eq!(fits_an_order(&lines), Err(TooLarge { lines: LINES_MAX + 1, prices: LINES_MAX + 1 }));
    }
}
