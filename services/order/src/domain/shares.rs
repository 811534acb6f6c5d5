//! Who earns what of an amount.

use std::collections::BTreeMap;

use ids::SellerId;
use money::MoneyError;

/// A seller's part of an amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Who earns it.
    pub seller: SellerId,
    /// The part in minor units, more than zero.
    pub amount_minor: i64,
}

/// The parts of an amount, each seller once, by seller: the order is part of what payment compares on a repeat.
///
/// `parts`: seller and amount in minor units.
///
/// # Errors
/// [`MoneyError::Overflow`] when a part does not fit.
pub fn shares_of<'a>(parts: impl IntoIterator<Item = (&'a SellerId, i64)>) -> Result<Vec<Share>, MoneyError> {
    let mut by_seller = BTreeMap::<&SellerId, i64>::new();
    for (seller, amount) in parts {
        let sum = by_seller.entry(seller).or_default();
        *sum = sum.checked_add(amount).ok_or(MoneyError::Overflow)?;
    }
    Ok(by_seller.into_iter().map(|(seller, amount_minor)| Share { seller: seller.clone(), amount_minor }).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prop_shares_sum_to_the_amount_and_name_each_seller_once(
            parts in prop::collection::vec((0..5_usize, 1..100_000_000_i64), 1..40),
        ) {
            let sellers: Vec<SellerId> = (0..5).map(|n| format!("seller-{n}").parse().unwrap()).collect();
            let shares = shares_of(parts.iter().map(|(n, amount)| (&sellers[*n], *amount))).unwrap();
            let total: i64 = parts.iter().map(|(_, amount)| amount).sum();
            prop_assert_eq!(shares.iter().map(|share| share.amount_minor).sum::<i64>(), total);
            prop_assert!(shares.windows(2).all(|pair| pair[0].seller < pair[1].seller));
        }
    }
}
