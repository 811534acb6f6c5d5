//! Money as whole minor units beside an ISO 4217 code. No float ever holds money.
//!
//! Arithmetic is checked: an overflow or a mix of currencies is an error, never a wrong amount.

mod currency;
mod split;

pub use currency::{Currency, UnknownCurrency};
pub use split::{commission, commission_of_refund};

/// An amount in the minor units (pence, cents) of one currency.
///
/// Signed, so that ledger postings can hold it. A price is a `Money` that its owner has checked to be positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money {
    // The currency comes first: amounts of one currency order by size, and those of two are never compared.
    currency: Currency,
    minor_units: i64,
}

/// Why two amounts cannot be combined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// There is no conversion between currencies here.
    #[error("amounts in {left} and {right} cannot be combined")]
    CurrencyMismatch {
        /// Currency of the left amount.
        left: Currency,
        /// Currency of the right amount.
        right: Currency,
    },
    /// The result does not fit `i64` minor units.
    #[error("amount is too large")]
    Overflow,
}

impl Money {
    /// An amount of `minor_units` in `currency`.
    pub const fn new(minor_units: i64, currency: Currency) -> Self {
        Self { minor_units, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::new(0, currency)
    }

    /// The amount in minor units.
    pub const fn minor_units(self) -> i64 {
        self.minor_units
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum of two amounts.
    ///
    /// # Errors
    /// [`MoneyError`] when the currencies differ or the sum overflows.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency });
        }
        let sum = self.minor_units.checked_add(other.minor_units).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(sum, self.currency))
    }

    /// The price of `quantity` units.
    ///
    /// # Errors
    /// [`MoneyError::Overflow`] when the product does not fit.
    pub fn checked_mul(self, quantity: i64) -> Result<Self, MoneyError> {
        let product = self.minor_units.checked_mul(quantity).ok_or(MoneyError::Overflow)?;
        Ok(Self::new(product, self.currency))
    }

    /// The sum of amounts, `None` for an empty list (which has no currency).
    ///
    /// # Errors
    /// [`MoneyError`] when the currencies differ or the sum overflows.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Result<Option<Self>, MoneyError> {
        let mut amounts = amounts.into_iter();
        let Some(first) = amounts.next() else { return Ok(None) };
        amounts.try_fold(first, Self::checked_add).map(Some)
    }
}

impl std::fmt::Display for Money {
    /// Major and minor units with the currency's own number of decimals, such as `771.83 GBP` or `500 JPY`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decimals = self.currency.decimals();
        if decimals == 0 {
            return write!(f, "{} {}", self.minor_units, self.currency);
        }
        let scale = 10_u64.pow(decimals);
        let sign = if self.minor_units < 0 { "-" } else { "" };
        let absolute = self.minor_units.unsigned_abs();
        let width = decimals as usize;
        write!(f, "{sign}{}.{:0width$} {}", absolute / scale, absolute % scale, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gbp(minor_units: i64) -> Money {
        Money::new(minor_units, "GBP".parse().unwrap())
    }

    #[test]
    fn prints_as_a_person_writes_it() {
        assert_eq!(gbp(7_718_360).to_string(), "77183.60 GBP");
        assert_eq!(gbp(-5).to_string(), "-0.05 GBP");
        assert_eq!(Money::new(500, "JPY".parse().unwrap()).to_string(), "500 JPY");
    }

    #[test]
    fn overflow_and_mixed_currencies_are_errors() {
        assert_eq!(gbp(i64::MAX).checked_add(gbp(1)), Err(MoneyError::Overflow));
        assert_eq!(gbp(i64::MAX).checked_mul(2), Err(MoneyError::Overflow));
        let eur = Money::new(1, "EUR".parse().unwrap());
        assert!(matches!(gbp(1).checked_add(eur), Err(MoneyError::CurrencyMismatch { .. })));
        assert_eq!(Money::checked_sum([]), Ok(None));
        assert_eq!(Money::checked_sum([gbp(1), gbp(2)]), Ok(Some(gbp(3))));
    }
}
