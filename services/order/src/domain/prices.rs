//! What the units of a line cost: each what was shown when it was added to the cart.

use money::MoneyError;

/// Units that have one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitsAt {
    /// Price of one of them in minor units, more than zero.
    pub unit_price_minor: i64,
    /// Units, 1 or more.
    pub quantity: i64,
}

/// The units of a line by price, the dearest first and each price once. Never empty.
///
/// The order is also that in which units come back: the dearest first, as they leave a cart. Whatever the parts in which a line is
/// returned, each of its units is paid back once, at what it cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices(Vec<UnitsAt>);

/// These are no prices of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrices {
    /// There are no units.
    #[error("a line without units")]
    Empty,
    /// A price or a number of units is less than one.
    #[error("units that cost nothing, or none of them")]
    NotPositive,
    /// There are more units than a number holds.
    #[error("too many units")]
    TooMany,
}

impl Prices {
    /// Prices from pairs of a unit price in minor units and units, in any order; those of one price sum up.
    ///
    /// # Errors
    /// [`InvalidPrices`].
    pub fn new(pairs: impl IntoIterator<Item = (i64, i64)>) -> Result<Self, InvalidPrices> {
        let mut units: Vec<UnitsAt> = Vec::new();
        let mut pairs: Vec<(i64, i64)> = pairs.into_iter().collect();
        pairs.sort_unstable_by_key(|(unit_price_minor, _)| std::cmp::Reverse(*unit_price_minor));
        let mut sum = 0_i64;
        for (unit_price_minor, quantity) in pairs {
            if unit_price_minor < 1 || quantity < 1 {
                return Err(InvalidPrices::NotPositive);
            }
            sum = sum.checked_add(quantity).ok_or(InvalidPrices::TooMany)?;
            match units.last_mut() {
                Some(last) if last.unit_price_minor == unit_price_minor => last.quantity += quantity,
                _ => units.push(UnitsAt { unit_price_minor, quantity }),
            }
        }
        if units.is_empty() { Err(InvalidPrices::Empty) } else { Ok(Self(units)) }
    }

    /// The units by price, the dearest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = UnitsAt> {
        self.0.iter().copied()
    }

    /// All units.
    pub fn quantity(&self) -> i64 {
        self.0.iter().map(|units| units.quantity).sum()
    }

    /// The dearest price.
    pub fn dearest_minor(&self) -> i64 {
        self.0.first().map_or(0, |units| units.unit_price_minor)
    }

    /// What all units cost together.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn worth_minor(&self) -> Result<i64, MoneyError> {
        self.worth_of_minor(0, self.quantity())
    }

    /// What `units` of them cost, after the first `before` in the order of the dearest first. Units beyond the line cost nothing.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn worth_of_minor(&self, before: i64, units: i64) -> Result<i64, MoneyError> {
        let (mut skip, mut left, mut worth) = (before.max(0), units.max(0), 0_i64);
        for part in &self.0 {
            let skipped = skip.min(part.quantity);
            let taken = left.min(part.quantity - skipped);
            skip -= skipped;
            left -= taken;
            let cost = part.unit_price_minor.checked_mul(taken).ok_or(MoneyError::Overflow)?;
            worth = worth.checked_add(cost).ok_or(MoneyError::Overflow)?;
        }
        Ok(worth)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prices_are_sorted_and_each_is_there_once() {
        let prices = Prices::new([(1_000, 1), (2_500, 3), (1_000, 4)]).unwrap();
        let pairs: Vec<_> = prices.iter().map(|units| (units.unit_price_minor, units.quantity)).collect();
        assert_eq!(pairs, [(2_500, 3), (1_000, 5)]);
        assert_eq!((prices.quantity(), prices.dearest_minor(), prices.worth_minor()), (8, 2_500, Ok(12_500)));
        let refused: [(&[(i64, i64)], _); 4] = [
            (&[], InvalidPrices::Empty),
            (&[(0, 1)], InvalidPrices::NotPositive),
            (&[(1, 0)], InvalidPrices::NotPositive),
            (&[(1, i64::MAX), (2, 1)], InvalidPrices::TooMany),
        ];
        for (pairs, why) in refused {
            assert_eq!(Prices::new(pairs.iter().copied()), Err(why), "{pairs:?}");
        }
        assert_eq!(Prices::new([(i64::MAX, 2)]).unwrap().worth_minor(), Err(MoneyError::Overflow));
    }

    #[test]
    fn the_dearest_units_come_first() {
        let prices = Prices::new([(1_000, 1), (2_500, 3)]).unwrap();
        let worth = |before, units| prices.worth_of_minor(before, units).unwrap();
        assert_eq!((worth(0, 2), worth(2, 2), worth(3, 1), worth(4, 1)), (5_000, 3_500, 1_000, 0));
    }

    proptest! {
        #[test]
        fn prop_the_parts_of_a_line_cost_what_the_line_costs(
            pairs in prop::collection::vec((1..10_000_i64, 1..50_i64), 1..8),
            parts in prop::collection::vec(1..40_i64, 0..400),
        ) {
            let prices = Prices::new(pairs.iter().copied()).unwrap();
            let paid: i64 = pairs.iter().map(|(price, units)| price * units).sum();
            prop_assert_eq!(prices.worth_minor(), Ok(paid));
            let (mut before, mut worth) = (0, 0);
            for units in parts.into_iter().chain([prices.quantity()]) {
                let units = units.min(prices.quantity() - before);
                worth += prices.worth_of_minor(before, units).unwrap();
                before += units;
            }
            prop_assert_eq!((before, worth), (prices.quantity(), paid));
        }
    }
}
