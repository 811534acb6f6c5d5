//! The lines cut out of a cart, and what they cost.

use ids::{OfferId, SellerId};
use limits::{AMOUNT_MINOR_MAX, JOINED_PRICES_MAX, LINES_MAX};
use money::{Currency, Money, MoneyError};

use super::{Prices, Refusal, RefusalKind};

/// A line as the cart cut it out: what is ordered and charged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutLine {
    /// The offer.
    pub offer: OfferId,
    /// Who earns it.
    pub seller: SellerId,
    /// Title as the shopper saw it.
    pub title: String,
    /// The currency of its prices. A cart whose regions disagreed about it has an offer in two lines, one of each.
    pub currency: Currency,
    /// Units by price, each as the shopper saw it.
    pub prices: Prices,
}

/// The lines cannot be one order. A pure function of the cut, which the cart returns again to every repeat: so is the refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnorderableCut {
    /// There is no conversion between currencies.
    #[error("the lines are priced in more than one currency")]
    MixedCurrencies,
    /// No payment moves so much.
    #[error(
        "the total is more than {AMOUNT_MINOR_MAX} minor units, the most that one payment moves; order less at once"
    )]
    TotalTooLarge,
    /// Its event would be larger than an event may be. The cart sees to it; a cut of before it did may come again.
    #[error(
        "an order has at most {LINES_MAX} lines at {JOINED_PRICES_MAX} prices: remove some lines, order, then add them anew"
    )]
    TooLarge,
    /// There is nothing to order.
    #[error("there are no lines")]
    Empty,
}

/// What the lines cost together.
///
/// # Errors
/// [`UnorderableCut`] when they have no one price.
pub fn total_of(lines: &[CutLine]) -> Result<Money, UnorderableCut> {
    let prices: usize = lines.iter().map(|line| line.prices.iter().len()).sum();
    if lines.len() > LINES_MAX || prices > JOINED_PRICES_MAX {
        return Err(UnorderableCut::TooLarge);
    }
    let worth = |line: &CutLine| Ok(Money::new(line.prices.worth_minor()?, line.currency));
    let costs = lines.iter().map(worth).collect::<Result<Vec<_>, _>>();
    let total = costs.and_then(Money::checked_sum).map_err(|error| match error {
        MoneyError::CurrencyMismatch { .. } => UnorderableCut::MixedCurrencies,
        MoneyError::Overflow => UnorderableCut::TotalTooLarge,
    })?;
    let total = total.ok_or(UnorderableCut::Empty)?;
    if total.minor_units() > AMOUNT_MINOR_MAX { Err(UnorderableCut::TotalTooLarge) } else { Ok(total) }
}

impl From<UnorderableCut> for Refusal {
    fn from(error: UnorderableCut) -> Self {
        let reason = match error {
            UnorderableCut::MixedCurrencies => "MIXED_CURRENCIES",
            UnorderableCut::TotalTooLarge => "TOTAL_TOO_LARGE",
            UnorderableCut::TooLarge => "ORDER_TOO_LARGE",
            UnorderableCut::Empty => "CART_EMPTY",
        };
        Self::new(RefusalKind::FailedPrecondition, reason, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(price_minor: i64, currency: &str, quantity: i64) -> CutLine {
        CutLine {
            offer: "mug".parse().unwrap(),
            seller: "potter".parse().unwrap(),
            title: "Mug".to_owned(),
            currency: currency.parse().unwrap(),
            prices: Prices::new([(price_minor, quantity)]).unwrap(),
        }
    }

    /// A unit at each of so many prices.
    fn at_prices(count: usize) -> CutLine {
        let prices = Prices::new((1..).map(|price| (price, 1)).take(count)).unwrap();
        CutLine { prices, ..line(1, "GBP", 1) }
    }

    #[test]
    fn a_cut_has_one_total_or_a_reason_why_not() {
        let gbp = |minor| Ok(Money::new(minor, "GBP".parse().unwrap()));
        let cases = [
            (vec![line(255, "GBP", 6), line(1, "GBP", 1)], gbp(1_531)),
            (vec![], Err(UnorderableCut::Empty)),
            (vec![line(1, "GBP", 1), line(1, "EUR", 1)], Err(UnorderableCut::MixedCurrencies)),
            (vec![line(AMOUNT_MINOR_MAX, "GBP", 1)], gbp(AMOUNT_MINOR_MAX)),
            (vec![line(AMOUNT_MINOR_MAX, "GBP", 1), line(1, "GBP", 1)], Err(UnorderableCut::TotalTooLarge)),
            (vec![line(i64::MAX, "GBP", 2)], Err(UnorderableCut::TotalTooLarge)),
            (vec![line(i64::MAX, "GBP", 1), line(1, "GBP", 1)], Err(UnorderableCut::TotalTooLarge)),
            (vec![line(1, "GBP", 1); LINES_MAX], gbp(1_500)),
            (vec![line(1, "GBP", 1); LINES_MAX + 1], Err(UnorderableCut::TooLarge)),
            (vec![at_prices(JOINED_PRICES_MAX)], gbp(288_012_000)),
            (vec![at_prices(JOINED_PRICES_MAX), line(1, "GBP", 1)], Err(UnorderableCut::TooLarge)),
        ];
        for (lines, total) in cases {
            assert_eq!(total_of(&lines), total, "{lines:?}");
        }
    }
}
