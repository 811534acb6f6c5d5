//! Sellers' shares of an amount.

use std::collections::HashSet;

use ids::SellerId;

/// Most that one payment or refund may move, in minor units.
pub const AMOUNT_MINOR_MAX: i64 = limits::AMOUNT_MINOR_MAX;
/// Most shares of one amount: an order has at most 1,500 lines, in the worst case each of another seller.
pub const SHARES_MAX: usize = limits::LINES_MAX;

/// A seller's part of an amount, in minor units of the payment's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The seller.
    pub seller: SellerId,
    /// 1 to [`AMOUNT_MINOR_MAX`].
    pub amount_minor: i64,
}

/// At least one share, each positive, each seller once, in the order of the sellers' ids, adding up to no more than
/// [`AMOUNT_MINOR_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    shares: Vec<Share>,
    total_minor: i64,
}

/// Why a list is not [`Shares`]; the index is the caller's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidShares {
    /// Nothing to share out.
    #[error("at least one share is needed")]
    Empty,
    /// More than [`SHARES_MAX`].
    #[error("{count} shares are more than {SHARES_MAX}")]
    TooMany {
        /// How many came.
        count: usize,
    },
    /// Not 1 to [`AMOUNT_MINOR_MAX`].
    #[error("must be 1 to {AMOUNT_MINOR_MAX} minor units")]
    AmountOutOfRange {
        /// Which share.
        index: usize,
    },
    /// The seller stands in an earlier share.
    #[error("seller {seller} already has a share")]
    SellerTwice {
        /// Which share.
        index: usize,
        /// The seller.
        seller: SellerId,
    },
    /// Together more than [`AMOUNT_MINOR_MAX`].
    #[error("the shares add up to more than {AMOUNT_MINOR_MAX} minor units")]
    TotalOutOfRange,
}

impl Shares {
    /// Checks a list of shares.
    ///
    /// # Errors
    /// [`InvalidShares`], the first one found.
    pub fn new(mut shares: Vec<Share>) -> Result<Self, InvalidShares> {
        if shares.is_empty() {
            return Err(InvalidShares::Empty);
        }
        if shares.len() > SHARES_MAX {
            return Err(InvalidShares::TooMany { count: shares.len() });
        }
        let mut sellers = HashSet::with_capacity(shares.len());
        let mut total_minor = 0_i64;
        for (index, share) in shares.iter().enumerate() {
            if !(1..=AMOUNT_MINOR_MAX).contains(&share.amount_minor) {
                return Err(InvalidShares::AmountOutOfRange { index });
            }
            if !sellers.insert(&share.seller) {
                return Err(InvalidShares::SellerTwice { index, seller: share.seller.clone() });
            }
            // 1,500 amounts of at most 10^12 fit i64.
            total_minor += share.amount_minor;
        }
        if total_minor > AMOUNT_MINOR_MAX {
            return Err(InvalidShares::TotalOutOfRange);
        }
        shares.sort_by(|left, right| left.seller.cmp(&right.seller));
        Ok(Self { shares, total_minor })
    }

    /// The sum, 1 to [`AMOUNT_MINOR_MAX`] minor units.
    pub const fn total_minor(&self) -> i64 {
        self.total_minor
    }

    /// The shares, by seller.
    pub fn iter(&self) -> std::slice::Iter<'_, Share> {
        self.shares.iter()
    }

    /// The sellers and the amounts as two columns, for a store that inserts them in one statement.
    pub fn columns(&self) -> (Vec<String>, Vec<i64>) {
        self.shares.iter().map(|share| (share.seller.to_string(), share.amount_minor)).unzip()
    }
}

/// Divides `total_minor`, which is no more than the shares together, among them as they stand to each other. Each part is its exact
/// portion rounded down or up, so no more than its share; the pennies of the rounding go to the largest remainders, the earlier
/// seller first. The parts add up to the total.
pub fn apportion(shares: &[Share], total_minor: i64) -> Vec<i64> {
    let whole: i128 = shares.iter().map(|share| i128::from(share.amount_minor)).sum();
    if whole == 0 {
        return Vec::new();
    }
    let exact = |share: &Share| i128::from(share.amount_minor) * i128::from(total_minor);
    // At most the share, which is an i64.
    let part = |share: &Share| i64::try_from(exact(share) / whole).unwrap_or(share.amount_minor);
    let mut parts: Vec<_> = shares.iter().map(part).collect();
    let mut by_remainder: Vec<_> = (0..shares.len()).collect();
    by_remainder.sort_by_key(|&n| std::cmp::Reverse(exact(&shares[n]) % whole));
    let left_over = total_minor - parts.iter().sum::<i64>();
    for n in by_remainder.into_iter().take(usize::try_from(left_over).unwrap_or_default()) {
        parts[n] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prop_parts_add_up_and_each_is_its_portion_within_a_penny(
            amounts in prop::collection::vec(1_i64..=1_000_000_000, 1..20),
            thousandths in 0_i64..=1_000,
        ) {
            let shares: Vec<_> =
                amounts.iter().enumerate().map(|(n, amount)| share(&format!("s{n}"), *amount)).collect();
            let whole: i64 = amounts.iter().sum();
            let total = whole * thousandths / 1_000;
            let parts = apportion(&shares, total);
            prop_assert_eq!(parts.iter().sum::<i64>(), total);
            for (part, amount) in parts.iter().zip(&amounts) {
                prop_assert!((0..=*amount).contains(part));
                let exact = i128::from(*amount) * i128::from(total);
                prop_assert!((i128::from(*part) * i128::from(whole) - exact).abs() < i128::from(whole));
            }
        }
    }

    #[test]
    fn the_odd_penny_goes_to_the_largest_remainder() {
        assert_eq!(apportion(&[share("a", 100), share("b", 200), share("c", 200)], 101), [20, 41, 40]);
        assert_eq!(apportion(&[share("a", 1), share("b", 1_000)], 10), [0, 10]);
    }

    fn share(seller: &str, amount_minor: i64) -> Share {
        Share { seller: seller.parse().unwrap(), amount_minor }
    }

    #[test]
    fn shares_are_positive_unique_bounded_and_sorted() {
        let shares = Shares::new(vec![share("b", 2), share("a", 1)]).unwrap();
        assert_eq!(shares.total_minor(), 3);
        assert_eq!(shares.columns(), (vec!["a".into(), "b".into()], vec![1, 2]));

        let many = |count| (0..count).map(|n| share(&format!("s{n}"), 1)).collect::<Vec<_>>();
        assert!(Shares::new(many(SHARES_MAX)).is_ok());
        for (refused, expected) in [
            (vec![], InvalidShares::Empty),
            (many(SHARES_MAX + 1), InvalidShares::TooMany { count: SHARES_MAX + 1 }),
            (vec![share("a", 0)], InvalidShares::AmountOutOfRange { index: 0 }),
            (vec![share("a", 1), share("b", -1)], InvalidShares::AmountOutOfRange { index: 1 }),
            (vec![share("a", i64::MAX)], InvalidShares::AmountOutOfRange { index: 0 }),
            (vec![share("a", 1), share("a", 1)], InvalidShares::SellerTwice { index: 1, seller: "a".parse().unwrap() }),
            (vec![share("a", AMOUNT_MINOR_MAX), share("b", 1)], InvalidShares::TotalOutOfRange),
        ] {
            assert_eq!(Shares::new(refused), Err(expected));
        }
    }
}
