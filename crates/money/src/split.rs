//! The marketplace's commission on a seller's share, and its part of refunds.

/// Basis points in one whole.
const WHOLE_BASIS_POINTS: i128 = 10_000;

/// The commission on `amount_minor` at `rate_basis_points` (0 to 10,000), rounded half up.
///
/// Never negative and never more than the amount; a rate above the whole counts as the whole.
pub fn commission(amount_minor: u64, rate_basis_points: u16) -> u64 {
    let rate = i128::from(rate_basis_points).min(WHOLE_BASIS_POINTS);
    let commission = (i128::from(amount_minor) * rate + WHOLE_BASIS_POINTS / 2) / WHOLE_BASIS_POINTS;
    u64::try_from(commission).unwrap_or(amount_minor)
}

/// The part of the commission to give back when `refund_minor` more is refunded of a share of which `refunded_before_minor`
/// was refunded already.
///
/// Taken as a difference of cumulative roundings, so that refunding a share in any number of pieces gives back exactly the
/// commission that was taken on it, with no penny left on either side.
pub fn commission_of_refund(refunded_before_minor: u64, refund_minor: u64, rate_basis_points: u16) -> u64 {
    let after = refunded_before_minor.saturating_add(refund_minor);
    commission(after, rate_basis_points) - commission(refunded_before_minor, rate_basis_points)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prop_commission_stays_within_the_amount(amount in 0..=u64::MAX / 2, rate in 0_u16..=10_000) {
            prop_assert!(commission(amount, rate) <= amount);
        }

        #[test]
        fn prop_refunds_in_pieces_give_back_exactly_the_commission(
            pieces in prop::collection::vec(0_u64..1_000_000, 0..20),
            rate in 0_u16..=10_000,
        ) {
            let mut refunded = 0;
            let mut given_back = 0;
            for piece in pieces {
                given_back += commission_of_refund(refunded, piece, rate);
                refunded += piece;
            }
            prop_assert_eq!(given_back, commission(refunded, rate));
        }
    }

    #[test]
    fn half_a_penny_rounds_up() {
        assert_eq!(commission(5, 1_000), 1);
        assert_eq!(commission(4, 1_000), 0);
    }
}
