//! What may be paid back: never more than was captured, never more than a seller's share has left.
//!
//! A capture may have been short. Whoever sends everything back asks for what the order cost; what came in of it is paid, and what never
//! came in is nothing that anybody could wait for.

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
    /// What the share is short of: it cost that much more than came in.
    pub short_minor: i64,
    /// Of that, what refunds asked for already.
    pub unpaid_minor: i64,
}

impl ShareBalance {
    const fn left_minor(&self) -> i64 {
        self.amount_minor - self.refunded_minor
    }

    const fn short_left_minor(&self) -> i64 {
        self.short_minor - self.unpaid_minor
    }
}

/// A seller's part of an accepted refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefundLine {
    /// The seller.
    pub seller: SellerId,
    /// Paid back, in minor units; 0 when nothing of it came in.
    pub amount_minor: i64,
    /// Of it, commission given back; the rest the seller gives back.
    pub commission_minor: i64,
    /// Asked for besides and not paid, for it never came in.
    pub unpaid_minor: i64,
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
    if !matches!(state, State::Captured { .. } | State::Uncollected) {
        return Err(RefundRejected::NotCaptured { state: state.name() });
    }
    let balances: HashMap<_, _> = balances.iter().map(|balance| (&balance.seller, balance)).collect();
    let line = |share: &Share| {
        let balance = balances.get(&share.seller);
        let (left_minor, short_left_minor, before) = balance
            .map_or((0, 0, 0), |balance| (balance.left_minor(), balance.short_left_minor(), balance.refunded_minor));
        if share.amount_minor > left_minor + short_left_minor {
            return Err(RefundRejected::ExceedsShare {
                seller: share.seller.clone(),
                asked_minor: share.amount_minor,
                left_minor: left_minor + short_left_minor,
            });
        }
        let amount_minor = share.amount_minor.min(left_minor);
        let commission =
            money::commission_of_refund(before.unsigned_abs(), amount_minor.unsigned_abs(), rate_basis_points);
        Ok(RefundLine {
            seller: share.seller.clone(),
            amount_minor,
            // At most the amount, which is an i64.
            commission_minor: i64::try_from(commission).unwrap_or(amount_minor),
            unpaid_minor: share.amount_minor - amount_minor,
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
        ShareBalance { seller: seller.parse().unwrap(), amount_minor, refunded_minor, short_minor: 0, unpaid_minor: 0 }
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

    /// Of 100 that it cost 70 came in: whatever the pieces, 70 are paid and 30 are not, and the 101st is refused.
    #[test]
    fn what_never_came_in_is_not_paid_and_not_waited_for() {
        for (state, came_in) in [(State::Captured { intent: IntentId::new("pi_1") }, 70), (State::Uncollected, 0)] {
            for pieces in [&[100][..], &[50, 50], &[70, 30], &[71, 29], &[1, 99]] {
                let mut balance = ShareBalance { short_minor: 100 - came_in, ..balance("a", came_in, 0) };
                for piece in pieces {
                    let [line] = reserve(&state, std::slice::from_ref(&balance), 1_000, &asked(&[("a", *piece)]))
                        .unwrap()
                        .try_into()
                        .unwrap();
                    assert_eq!(line.amount_minor + line.unpaid_minor, *piece);
                    balance.refunded_minor += line.amount_minor;
                    balance.unpaid_minor += line.unpaid_minor;
                }
                assert_eq!((balance.refunded_minor, balance.unpaid_minor), (came_in, 100 - came_in), "{pieces:?}");
                let more = reserve(&state, &[balance], 1_000, &asked(&[("a", 1)]));
                assert!(matches!(more, Err(RefundRejected::ExceedsShare { left_minor: 0, .. })), "{more:?}");
            }
        }
    }

    #[test]
    fn only_captured_money_is_refunded() {
        let capturing = State::Capturing { intent: IntentId::new("pi_1") };
        let rejected = reserve(&capturing, &[balance("a", 100, 0)], 0, &asked(&[("a", 1)]));
        assert_eq!(rejected, Err(RefundRejected::NotCaptured { state: "capturing" }));
    }
}
