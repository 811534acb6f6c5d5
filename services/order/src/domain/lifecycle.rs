//! Where an order stands, and what can happen to it there.
//!
//! ```text
//! pending ──placed──▶ placed ──shipped──▶ shipped
//!    │                  └─────cancelled──▶ cancelled
//!    └──refused──▶ compensating ──unwound──▶ rejected
//! ```
//!
//! The store's statements are guarded by the state they start from (`where state = 'placed'`), so the database takes each of
//! these steps at most once, whoever races for it. A test holds the statements against this table.

use super::Refusal;

/// Where an order stands. What exists in one state only lives in its variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderState {
    /// The saga is before its pivot and goes forward.
    Pending,
    /// The saga failed and is being unwound. It can no longer be placed.
    Compensating(Refusal),
    /// Stock is reserved and money authorised: the order stands.
    Placed,
    /// The goods left.
    Shipped,
    /// The saga is unwound; final.
    Rejected(Refusal),
    /// Cancelled by the shopper before shipping; final.
    Cancelled,
}

/// What can happen to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderEvent {
    /// The saga passed its pivot.
    Placed,
    /// A step before the pivot was refused, or its outcome stayed unknown for too long.
    Refused(Refusal),
    /// The last compensation took effect.
    Unwound,
    /// Fulfilment sent the goods.
    Shipped,
    /// The shopper called it off.
    Cancelled,
}

/// What became of an order, for services that hold something for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Not decided yet.
    Undecided,
    /// It was placed: its events say what becomes of what is held for it.
    Placed,
    /// It never was placed and never will be.
    Ended,
}

/// The event cannot happen in the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {state} cannot become {event}")]
pub struct IllegalTransition {
    state: &'static str,
    event: &'static str,
}

impl OrderState {
    /// The name kept in the database: never change one.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Compensating(_) => "compensating",
            Self::Placed => "placed",
            Self::Shipped => "shipped",
            Self::Rejected(_) => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// What became of the order. A compensating one has ended: that state is stored before the first compensation runs, and no
    /// way leads from it to placed.
    ///
    /// A cancelled one was placed, and both its events settle what is held for it. Whoever let go at once would meet the placed
    /// event, which may still be on its way, with nothing in its hands.
    pub const fn fate(&self) -> Fate {
        match self {
            Self::Pending => Fate::Undecided,
            Self::Placed | Self::Shipped | Self::Cancelled => Fate::Placed,
            Self::Compensating(_) | Self::Rejected(_) => Fate::Ended,
        }
    }

    /// The state after `event`.
    ///
    /// # Errors
    /// [`IllegalTransition`] for every pair that the drawing above does not have.
    pub fn apply(self, event: OrderEvent) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Pending, OrderEvent::Placed) => Ok(Self::Placed),
            (Self::Pending, OrderEvent::Refused(refusal)) => Ok(Self::Compensating(refusal)),
            (Self::Compensating(refusal), OrderEvent::Unwound) => Ok(Self::Rejected(refusal)),
            (Self::Placed, OrderEvent::Shipped) => Ok(Self::Shipped),
            (Self::Placed, OrderEvent::Cancelled) => Ok(Self::Cancelled),
            (state, event) => Err(IllegalTransition { state: state.name(), event: event.name() }),
        }
    }
}

impl OrderEvent {
    const fn name(&self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Refused(_) => "refused",
            Self::Unwound => "unwound",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::RefusalKind;

    fn refusal() -> Refusal {
        Refusal::new(RefusalKind::FailedPrecondition, "OUT_OF_STOCK", "not enough stock")
    }

    fn any_event() -> impl Strategy<Value = OrderEvent> {
        prop_oneof![
            Just(OrderEvent::Placed),
            Just(OrderEvent::Refused(refusal())),
            Just(OrderEvent::Unwound),
            Just(OrderEvent::Shipped),
            Just(OrderEvent::Cancelled),
        ]
    }

    proptest! {
        /// Any history at all, the illegal events of it refused: at most one of shipped, rejected and cancelled is reached,
        /// nothing follows it, and neither shipped nor cancelled is reached around placed.
        #[test]
        fn prop_an_order_ends_once_and_ships_only_when_placed(events in prop::collection::vec(any_event(), 0..12)) {
            let mut state = OrderState::Pending;
            let mut history = vec![state.name()];
            for event in events {
                if let Ok(next) = state.clone().apply(event) {
                    history.push(next.name());
                    state = next;
                }
            }
            let paths: [&[&str]; 3] = [
                &["pending", "placed", "shipped"],
                &["pending", "placed", "cancelled"],
                &["pending", "compensating", "rejected"],
            ];
            prop_assert!(paths.iter().any(|path| path.starts_with(&history)), "{:?}", history);
        }
    }

    #[test]
    fn an_illegal_transition_names_both_sides() {
        let error = OrderState::Shipped.apply(OrderEvent::Cancelled).map_err(|error| error.to_string());
        assert_eq!(error, Err("an order that is shipped cannot become cancelled".to_owned()));
    }
}
