//! What people may do to an order that cannot go on by itself, and when.

use chrono::{DateTime, Utc};
use ids::{OrderId, RefundId};
use serde::Serialize;

/// What an operator decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorAction {
    /// Nobody drives it until further notice.
    Park,
    /// It is driven on from where it stands.
    Retry,
    /// It is unwound.
    Compensate,
    /// What is parked of it was seen to by hand: it counts as done, and nothing more is asked of anybody.
    Close,
}

/// A decision about an order, with who and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The order.
    pub order: OrderId,
    /// What is to be done.
    pub action: OperatorAction,
    /// Who decides.
    pub operator: String,
    /// Why; nothing personal.
    pub reason: String,
    /// The operator's key: a repeat changes nothing more.
    pub idempotency_key: String,
}

/// Whether a saga, or one duty of it, is driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Driving {
    /// There is nothing to drive.
    Nothing,
    /// A driver has it or will claim it.
    Driven,
    /// Nobody has it or will claim it.
    Parked {
        /// Why.
        reason: String,
        /// Since when.
        since: DateTime<Utc>,
    },
}

/// Where an order and what is driven of it stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The order.
    pub order: OrderId,
    /// The name of its state.
    pub state: String,
    /// Its saga, or the void of a cancelled one.
    pub driving: Driving,
    /// Turns that did not reach the end.
    pub attempts: i32,
    /// The fencing token of the last claim.
    pub fence: i64,
    /// Its refunds that are not confirmed, the oldest first.
    pub refunds: Vec<RefundStanding>,
}

/// Where a refund that is not confirmed stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefundStanding {
    /// The refund.
    pub refund: RefundId,
    /// Whether it is driven.
    pub driving: Driving,
    /// Turns that did not reach the end.
    pub attempts: i32,
    /// The fencing token of the last claim.
    pub fence: i64,
}

/// Why an action is not possible as the order stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NotPossible {
    /// Stable name in capitals.
    pub reason: &'static str,
    /// For people: what to do instead.
    pub message: &'static str,
}

impl OperatorAction {
    /// The name kept in the database: never change one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Park => "park",
            Self::Retry => "retry",
            Self::Compensate => "compensate",
            Self::Close => "close",
        }
    }

    /// Whether it is possible where the order stands.
    ///
    /// # Errors
    /// [`NotPossible`].
    pub fn check(self, standing: &Standing) -> Result<(), NotPossible> {
        let duties = || std::iter::once(&standing.driving).chain(standing.refunds.iter().map(|refund| &refund.driving));
        let is_any_driven = duties().any(|driving| *driving == Driving::Driven);
        let is_any_parked = duties().any(|driving| matches!(driving, Driving::Parked { .. }));
        let no = |reason, message| Err(NotPossible { reason, message });
        match self {
            Self::Park if is_any_driven => Ok(()),
            Self::Park if is_any_parked => no("ORDER_PARKED", "the order is parked already"),
            Self::Park => no("ORDER_NOT_DRIVEN", "nothing of the order is being driven, so there is nothing to park"),
            Self::Retry if is_any_parked => Ok(()),
            Self::Retry => no("ORDER_NOT_PARKED", "nothing of the order is parked; what is left to do is being driven"),
            Self::Close if standing.state == "pending" => {
                no("ORDER_PENDING", "the order is undecided: compensate it first")
            }
            Self::Close if is_any_parked => Ok(()),
            Self::Close => no("ORDER_NOT_PARKED", "nothing of the order is parked; what is left to do is being driven"),
            // Past the pivot others act on the order: what it promised is taken back by a new business act, not by unwinding.
            Self::Compensate => match standing.state.as_str() {
                "pending" => Ok(()),
                "compensating" => no("ORDER_COMPENSATING", "the order unwinds already; if it is parked, retry it"),
                "placed" => no("ORDER_PLACED", "the order is placed: have its customer cancel it before it ships"),
                "shipped" => no("ORDER_SHIPPED", "the order is shipped: have its customer return it"),
                _ => no("ORDER_ENDED", "the order has ended; if its payment's void is parked, retry it"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked() -> Driving {
        Driving::Parked { reason: "refused".to_owned(), since: DateTime::UNIX_EPOCH }
    }

    fn standing(state: &str, driving: Driving, refunds: &[Driving]) -> Standing {
        let refund = |driving: &Driving| RefundStanding {
            refund: RefundId::generate(),
            driving: driving.clone(),
            attempts: 0,
            fence: 1,
        };
        let refunds = refunds.iter().map(refund).collect();
        Standing { order: OrderId::generate(), state: state.to_owned(), driving, attempts: 0, fence: 1, refunds }
    }

    #[test]
    fn each_action_is_possible_where_it_makes_sense_and_says_what_to_do_elsewhere() {
        use Driving::{Driven, Nothing};
        let cases: [(&str, Driving, &[Driving], [&str; 4]); 11] = [
            ("pending", Driven, &[], ["", "ORDER_NOT_PARKED", "", "ORDER_PENDING"]),
            ("pending", parked(), &[], ["ORDER_PARKED", "", "", "ORDER_PENDING"]),
            ("compensating", Driven, &[], ["", "ORDER_NOT_PARKED", "ORDER_COMPENSATING", "ORDER_NOT_PARKED"]),
            ("compensating", parked(), &[], ["ORDER_PARKED", "", "ORDER_COMPENSATING", ""]),
            ("placed", Nothing, &[], ["ORDER_NOT_DRIVEN", "ORDER_NOT_PARKED", "ORDER_PLACED", "ORDER_NOT_PARKED"]),
            ("rejected", Nothing, &[], ["ORDER_NOT_DRIVEN", "ORDER_NOT_PARKED", "ORDER_ENDED", "ORDER_NOT_PARKED"]),
            ("cancelled", Driven, &[], ["", "ORDER_NOT_PARKED", "ORDER_ENDED", "ORDER_NOT_PARKED"]),
            ("cancelled", parked(), &[], ["ORDER_PARKED", "", "ORDER_ENDED", ""]),
            ("shipped", Nothing, &[Driven], ["", "ORDER_NOT_PARKED", "ORDER_SHIPPED", "ORDER_NOT_PARKED"]),
            ("shipped", Nothing, &[parked()], ["ORDER_PARKED", "", "ORDER_SHIPPED", ""]),
            ("shipped", Nothing, &[parked(), Driven], ["", "", "ORDER_SHIPPED", ""]),
        ];
        for (state, driving, refunds, expected) in cases {
            let standing = standing(state, driving, refunds);
            let actions =
                [OperatorAction::Park, OperatorAction::Retry, OperatorAction::Compensate, OperatorAction::Close];
            let checked = actions.map(|action| action.check(&standing).map_or_else(|no| no.reason, |()| ""));
            assert_eq!(checked, expected, "{standing:?}");
        }
    }
}
