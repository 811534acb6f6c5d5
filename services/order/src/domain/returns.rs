//! Whether units can come back, and what is paid for them.

use ids::OfferId;
use money::MoneyError;

use super::{OrderLine, Share, shares_of};

/// Units of one offer to send back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnLine {
    /// The offer.
    pub offer: OfferId,
    /// Units, 1 or more.
    pub quantity: i64,
}

/// Where a return stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnState {
    /// Stored; the refund is being driven to the end.
    Requested,
    /// Payment confirmed the refund.
    Refunded,
}

impl ReturnState {
    /// The name kept in the database: never change one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Refunded => "refunded",
        }
    }
}

/// A return that fits the order, and what is paid back for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedReturn {
    /// Sum of the shares, in minor units.
    pub amount_minor: i64,
    /// What each seller pays back.
    pub shares: Vec<Share>,
}

/// More of an offer than the order has left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excess {
    /// The offer.
    pub offer: OfferId,
    /// Units that could still come back; 0 for an offer that was not ordered.
    pub left: i64,
}

/// Why a return does not fit the order. Nothing is accepted in part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnacceptableReturn {
    /// Every offer of which less is left than wanted.
    #[error("more units than the order has left")]
    Exceeds(Vec<Excess>),
    /// The amount does not fit. The order's total does, so its lines are corrupt.
    #[error("the refund is too large to be part of the order")]
    Amount(#[from] MoneyError),
}

/// Decides about a return of `wanted` (each offer once) out of an order of `lines`, as they stand under the order's row lock.
///
/// # Errors
/// [`UnacceptableReturn`].
pub fn decide_return(lines: &[OrderLine], wanted: &[ReturnLine]) -> Result<AcceptedReturn, UnacceptableReturn> {
    let mut excesses = Vec::new();
    let mut parts = Vec::with_capacity(wanted.len());
    for ReturnLine { offer, quantity } in wanted {
        let line = lines.iter().find(|line| line.offer == *offer);
        let left = line.map_or(0, |line| line.quantity - line.returned_quantity);
        match line {
            Some(line) if *quantity <= left => parts.push((&line.seller, line.unit_price_minor, *quantity)),
            _ => excesses.push(Excess { offer: offer.clone(), left }),
        }
    }
    if !excesses.is_empty() {
        return Err(UnacceptableReturn::Exceeds(excesses));
    }
    let shares = shares_of(parts)?;
    let sum = shares.iter().try_fold(0_i64, |sum, share| sum.checked_add(share.amount_minor));
    Ok(AcceptedReturn { amount_minor: sum.ok_or(MoneyError::Overflow)?, shares })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ordered(offer: &str, quantity: i64, returned_quantity: i64) -> OrderLine {
        OrderLine {
            offer: offer.parse().unwrap(),
            seller: "potter".parse().unwrap(),
            title: "Mug".to_owned(),
            unit_price_minor: 255,
            quantity,
            returned_quantity,
        }
    }

    fn wanted(offer: &str, quantity: i64) -> ReturnLine {
        ReturnLine { offer: offer.parse().unwrap(), quantity }
    }

    #[test]
    fn a_refusal_names_every_line_and_what_is_left_of_it() {
        let lines = [ordered("cup", 2, 0), ordered("mug", 6, 4)];
        let refused = decide_return(&lines, &[wanted("cup", 2), wanted("mug", 3), wanted("jug", 1)]);
        let excess = |offer: &str, left| Excess { offer: offer.parse().unwrap(), left };
        assert_eq!(refused, Err(UnacceptableReturn::Exceeds(vec![excess("mug", 2), excess("jug", 0)])));
    }

    proptest! {
        #[test]
        fn prop_any_row_of_returns_takes_back_at_most_what_was_ordered(
            ordered_units in 1..50_i64,
            asked in prop::collection::vec(1..20_i64, 0..20),
        ) {
            let mut line = ordered("mug", ordered_units, 0);
            let mut paid_minor = 0;
            for units in asked {
                if let Ok(accepted) = decide_return(std::slice::from_ref(&line), &[wanted("mug", units)]) {
                    line.returned_quantity += units;
                    paid_minor += accepted.amount_minor;
                }
            }
            prop_assert!(line.returned_quantity <= ordered_units);
            prop_assert_eq!(paid_minor, line.returned_quantity * line.unit_price_minor);
        }
    }
}
