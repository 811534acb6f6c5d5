//! What may be paid back: never more than was captured, never more than a seller's share has left.

use std::collections::HashMap;

use ids::SellerId;

use super::share::{Share, Shares};
use super::state::State;

/// What is left of a seller's share, read under the payment's lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareBalance {
    /// The seller.
    pub seller: SellerId,
    /// What came in of the share, in minor units.
    pub amount_minor: i64,
    /// Of it, refunds succeeded or accepted to be.
    pub refunded_minor: i64,
}

/// A seller's part of an accepted refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundLine {
    /// The seller.
    pub seller: SellerId,
    /// Paid back, in minor units.
    pub amount_minor: i64,
    /// Of it, commission given back; the rest the seller gives back.
    pub commission_minor: i64,
}

/// Why a refund is refused. Nothing was reserved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefundRejected {
    /// There is no captured money to pay back.
    #[error("the payment is {state}, not captured")]
    NotCaptured {
        /// Where it stands.
        state: &'static str,
    },
    /// More than the seller's share has left.
    #[error("seller {seller} has {left_minor} left to refund, not {asked_minor}")]
    ExceedsShare {
        /// The seller.
        seller: SellerId,
        /// Asked for, in minor units.
        asked_minor: i64,
        /// Left, in minor units; 0 for a seller without a share.
        left_minor: i64,
    },
}

/// Decides a refund against what is left, and fixes the commission that goes back with each part.
///
/// `balances` must be read under a lock that every reservation of the payment takes, and the result be stored before it is
/// let go: two decisions on the same balances could together pay out more than came in. Summed over the sellers the shares
/// are the capture, so refunds within the shares are within the capture.
///
/// # Errors
/// [`RefundRejected`].
pub fn reserve(
    state: &State,
    balances: &[ShareBalance],
    rate_basis_points: u16,
    asked: &Shares,
) -> Result<Vec<RefundLine>, RefundRejected> {
    if !matches!(state, State::Captured { .. }) {
        return Err(RefundRejected::NotCaptured { state: state.name() });
    }
    let balances: HashMap<_, _> = balances.iter().map(|balance| (&balance.seller, balance)).collect();
    let line = |share: &Share| {
        let balance = balances.get(&share.seller);
        let (amount, before) = balance.map_or((0, 0), |balance| (balance.amount_minor, balance.refunded_minor));
        let left_minor = amount - before;
        if share.amount_minor > left_minor {
            return Err(RefundRejected::ExceedsShare {
                seller: share.seller.clone(),
                asked_minor: share.amount_minor,
                left_minor,
            });
        }
        let commission =
            money::commission_of_refund(before.unsigned_abs(), share.amount_minor.unsigned_abs(), rate_basis_points);
        Ok(RefundLine {
            seller: share.seller.clone(),
            amount_minor: share.amount_minor,
            // At most the amount, which is an i64.
            commission_minor: i64::try_from(commission).unwrap_or(share.amount_minor),
        })
    };
    asked.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{IntentId, Share};
    use super::*;

    fn asked(shares: &[(&str, i64)]) -> Shares {
        let share = |&(seller, amount_minor): &(&str, i64)| Share { seller: seller.parse().unwrap(), amount_minor };
        Shares::new(shares.iter().map(share).collect()).unwrap()
    }

    fn balance(seller: &str, amount_minor: i64, refunded_minor: i64) -> ShareBalance {
        ShareBalance { seller: seller.parse().unwrap(), amount_minor, refunded_minor }
    }

    #[test]
    fn a_refund_stays_within_each_share() {
        let captured = State::Captured { intent: IntentId::new("pi_1") };
        let balances = [balance("a", 100, 40), balance("b", 50, 0)];
        let lines = reserve(&captured, &balances, 1_000, &asked(&[("a", 60), ("b", 50)])).unwrap();
        assert_eq!(lines.iter().map(|line| line.commission_minor).collect::<Vec<_>>(), [6, 5]);
        for (seller, asked_minor, left_minor) in [("a", 61, 60), ("b", 51, 50), ("stranger", 1, 0)] {
            let seller: SellerId = seller.parse().unwrap();
            let rejected = reserve(&captured, &balances, 1_000, &asked(&[(seller.as_str(), asked_minor)]));
            assert_eq!(rejected, Err(RefundRejected::ExceedsShare { seller, asked_minor, left_minor }));
        }
    }

    #[test]
    fn only_captured_money_is_refunded() {
        let capturing = State::Capturing { intent: IntentId::new("pi_1") };
        let rejected = reserve(&capturing, &[balance("a", 100, 0)], 0, &asked(&[("a", 1)]));
        assert_eq!(rejected, Err(RefundRejected::NotCaptured { state: "capturing" }));
    }
}
