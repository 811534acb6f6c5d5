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
    /// What is paid back for each line wanted, in their order, in minor units.
    pub line_amounts_minor: Vec<i64>,
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
/// Of a line whose units have several prices the dearest come back first, so that what is paid for them depends on what came back
/// before; all of them together cost what was paid.
///
/// # Errors
/// [`UnacceptableReturn`].
pub fn decide_return(lines: &[OrderLine], wanted: &[ReturnLine]) -> Result<AcceptedReturn, UnacceptableReturn> {
    let mut excesses = Vec::new();
    let mut accepted = Vec::with_capacity(wanted.len());
    for ReturnLine { offer, quantity } in wanted {
        let line = lines.iter().find(|line| line.offer == *offer);
        let left = line.map_or(0, |line| line.quantity() - line.returned_quantity);
        match line {
            Some(line) if *quantity <= left => accepted.push((line, *quantity)),
            _ => excesses.push(Excess { offer: offer.clone(), left }),
        }
    }
    if !excesses.is_empty() {
        return Err(UnacceptableReturn::Exceeds(excesses));
    }
    let worth = |(line, units): &(&OrderLine, i64)| line.prices.worth_of_minor(line.returned_quantity, *units);
    let line_amounts_minor = accepted.iter().map(worth).collect::<Result<Vec<_>, _>>()?;
    let sellers = accepted.iter().map(|(line, _)| &line.seller);
    let shares = shares_of(sellers.zip(line_amounts_minor.iter().copied()))?;
    let sum = shares.iter().try_fold(0_i64, |sum, share| sum.checked_add(share.amount_minor));
    Ok(AcceptedReturn { amount_minor: sum.ok_or(MoneyError::Overflow)?, line_amounts_minor, shares })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Prices;
    use super::*;

    fn ordered(offer: &str, quantity: i64, returned_quantity: i64) -> OrderLine {
        OrderLine {
            offer: offer.parse().unwrap(),
            seller: "potter".parse().unwrap(),
            title: "Mug".to_owned(),
            prices: Prices::new([(255, quantity)]).unwrap(),
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

    #[test]
    fn the_dearest_units_come_back_first_and_each_pays_what_it_cost() {
        let mut line = OrderLine { prices: Prices::new([(1_000, 1), (2_500, 2)]).unwrap(), ..ordered("mug", 1, 0) };
        for amount in [2_500, 2_500, 1_000] {
            let accepted = decide_return(std::slice::from_ref(&line), &[wanted("mug", 1)]).unwrap();
            assert_eq!((accepted.amount_minor, accepted.line_amounts_minor), (amount, vec![amount]));
            assert_eq!(accepted.shares, [Share { seller: "potter".parse().unwrap(), amount_minor: amount }]);
            line.returned_quantity += 1;
        }
    }

    proptest! {
        #[test]
        fn prop_any_row_of_returns_takes_back_what_was_ordered_for_what_it_cost_and_no_more(
            prices in prop::collection::vec((1..10_000_i64, 1..20_i64), 1..6),
            asked in prop::collection::vec(1..20_i64, 0..20),
        ) {
            let mut line = OrderLine { prices: Prices::new(prices.iter().copied()).unwrap(), ..ordered("mug", 1, 0) };
            let mut paid_minor = 0;
            let rest = 1..=line.quantity();
            for units in asked.into_iter().chain(rest.rev()) {
                if let Ok(accepted) = decide_return(std::slice::from_ref(&line), &[wanted("mug", units)]) {
                    line.returned_quantity += units;
                    paid_minor += accepted.amount_minor;
                }
            }
            prop_assert_eq!(line.returned_quantity, line.quantity());
            prop_assert_eq!(paid_minor, prices.iter().map(|(price, units)| price * units).sum::<i64>());
        }
    }
}
