//! What becomes of a reservation: one table over (state, event).
//!
//! Cancel and place arrive on two topics, so in either order; both orders end in `Released(Cancelled)`, which nothing
//! leaves. A placed order whose reservation is missing or was let go for another reason is a bug of ours (expiry asks for
//! the order's fate before it releases), so it is refused by name and never papered over.

use chrono::{DateTime, Utc};

use super::Digest;

/// Where a reservation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Units are held for an order that is not placed for good yet.
    Reserved,
    /// The order was placed: the units are sold.
    Committed,
    /// The units are available again, or never were taken (a tombstone that refuses a late reserve).
    Released(ReleaseCause),
}

/// Why a reservation was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseCause {
    /// The saga asked for it.
    Requested,
    /// Its time was up, and the order had ended or never was.
    Expired,
    /// The order was placed and then cancelled before it shipped.
    Cancelled,
}

/// What happens to a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// `order.placed.v1` arrived.
    OrderPlaced,
    /// `order.cancelled.v1` arrived.
    OrderCancelled,
    /// The saga called Release.
    ReleaseRequested,
    /// The reservation expired and its order has ended or is unknown.
    FateEnded,
}

/// Where the units of every line go: each count is multiplied by the line's units. The three add up to nothing, so no
/// transition makes or loses stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// -1, 0 or 1.
    pub available: i64,
    /// -1, 0 or 1.
    pub reserved: i64,
    /// -1, 0 or 1.
    pub sold: i64,
}

impl Move {
    /// Nothing moves.
    pub const NONE: Self = Self { available: 0, reserved: 0, sold: 0 };
    /// Held units become a sale.
    pub const SELL: Self = Self { available: 0, reserved: -1, sold: 1 };
    /// Held units become available.
    pub const FREE: Self = Self { available: 1, reserved: -1, sold: 0 };
    /// A sale is undone.
    pub const UNSELL: Self = Self { available: 1, reserved: 0, sold: -1 };
}

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// Nothing; it was done before, or another event overtook it.
    Keep,
    /// The new state and where the units go. From no state at all this writes a tombstone.
    To(State, Move),
}

/// The event does not fit the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The order was placed; only its cancellation gives the units back.
    #[error("the reservation is committed")]
    Committed,
    /// An order was placed whose units are not held. Stock was promised that we may no longer have: someone must look.
    #[error("the order was placed but its reservation is {found}")]
    LostReservation {
        /// What was found instead.
        found: &'static str,
    },
}

/// The table. `None` is an order never heard of.
///
/// # Errors
/// [`Refusal`], with the state unchanged.
pub fn react(state: Option<State>, event: Event) -> Result<Transition, Refusal> {
    use Event::{FateEnded, OrderCancelled, OrderPlaced, ReleaseRequested};
    use ReleaseCause::{Cancelled, Expired, Requested};
    use State::{Committed, Released, Reserved};
    use Transition::{Keep, To};

    match (state, event) {
        (None, OrderPlaced) => Err(Refusal::LostReservation { found: "missing" }),
        (None, OrderCancelled) => Ok(To(Released(Cancelled), Move::NONE)),
        (None, ReleaseRequested) => Ok(To(Released(Requested), Move::NONE)),
        (None, FateEnded) => Ok(Keep),

        (Some(Reserved), OrderPlaced) => Ok(To(Committed, Move::SELL)),
        (Some(Reserved), OrderCancelled) => Ok(To(Released(Cancelled), Move::FREE)),
        (Some(Reserved), ReleaseRequested) => Ok(To(Released(Requested), Move::FREE)),
        (Some(Reserved), FateEnded) => Ok(To(Released(Expired), Move::FREE)),

        (Some(Committed), OrderPlaced) => Ok(Keep),
        (Some(Committed), OrderCancelled) => Ok(To(Released(Cancelled), Move::UNSELL)),
        (Some(Committed), ReleaseRequested) => Err(Refusal::Committed),
        // Placed between the worker's question and its release: the sale stands.
        (Some(Committed), FateEnded) => Ok(Keep),

        (Some(Released(Cancelled)), OrderPlaced | OrderCancelled | ReleaseRequested | FateEnded) => Ok(Keep),

        (Some(Released(Requested)), OrderPlaced) => Err(Refusal::LostReservation { found: "released on request" }),
        (Some(Released(Expired)), OrderPlaced) => Err(Refusal::LostReservation { found: "expired" }),
        // The units are back already; remember the cancellation, so that the placed event behind it is harmless.
        (Some(Released(Requested | Expired)), OrderCancelled) => Ok(To(Released(Cancelled), Move::NONE)),
        (Some(Released(Requested | Expired)), ReleaseRequested | FateEnded) => Ok(Keep),
    }
}

/// A reservation as it was found under an order's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it stands.
    pub state: State,
    /// Of the lines it was made for; `None` for a tombstone, which had none.
    pub request_digest: Option<Vec<u8>>,
    /// When it lapses unless the order was placed.
    pub expires_at: DateTime<Utc>,
}

/// Why a reserve of an order that has a reservation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReserveRefusal {
    /// The order id was used with other lines.
    #[error("the order was reserved with other lines")]
    KeyReused,
    /// The order was let go before; a reserve that comes late must not hold units that nobody will give back.
    #[error("the reservation of the order was released")]
    Released,
}

impl Stored {
    /// What a repeated reserve of the lines with this digest gets: the first outcome.
    ///
    /// # Errors
    /// [`ReserveRefusal`]; nothing changes.
    pub fn repeat(&self, digest: &Digest) -> Result<DateTime<Utc>, ReserveRefusal> {
        if self.request_digest.as_deref().is_some_and(|stored| stored != digest.as_bytes()) {
            return Err(ReserveRefusal::KeyReused);
        }
        match self.state {
            State::Released(_) => Err(ReserveRefusal::Released),
            State::Reserved | State::Committed => Ok(self.expires_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [Event; 4] = [Event::OrderPlaced, Event::OrderCancelled, Event::ReleaseRequested, Event::FateEnded];

    /// The state after the events, and the sum of their moves; refused events change nothing.
    fn after(mut state: Option<State>, events: &[Event]) -> (Option<State>, [i64; 3]) {
        let mut moved = [0; 3];
        for event in events {
            if let Ok(Transition::To(next, way)) = react(state, *event) {
                state = Some(next);
                moved[0] += way.available;
                moved[1] += way.reserved;
                moved[2] += way.sold;
            }
        }
        (state, moved)
    }

    /// Where the units of a reservation are, given its state: available, reserved, sold.
    fn units_of(state: State) -> [i64; 3] {
        match state {
            State::Reserved => [0, 1, 0],
            State::Committed => [0, 0, 1],
            State::Released(_) => [1, 0, 0],
        }
    }

    #[test]
    fn place_and_cancel_end_the_same_in_either_order() {
        let (placed_first, one) = after(Some(State::Reserved), &[Event::OrderPlaced, Event::OrderCancelled]);
        let (cancelled_first, other) = after(Some(State::Reserved), &[Event::OrderCancelled, Event::OrderPlaced]);
        assert_eq!(placed_first, Some(State::Released(ReleaseCause::Cancelled)));
        assert_eq!((placed_first, one), (cancelled_first, other));
        assert_eq!(one, [1, -1, 0]);
    }

    #[test]
    fn a_placed_order_without_its_units_is_never_waved_through() {
        for state in
            [None, Some(State::Released(ReleaseCause::Expired)), Some(State::Released(ReleaseCause::Requested))]
        {
            assert!(matches!(react(state, Event::OrderPlaced), Err(Refusal::LostReservation { .. })), "{state:?}");
        }
    }

    #[test]
    fn a_committed_reservation_is_not_released_on_request() {
        assert_eq!(react(Some(State::Committed), Event::ReleaseRequested), Err(Refusal::Committed));
    }

    #[test]
    fn a_repeat_gets_the_first_outcome_and_other_lines_are_refused() {
        let digest = |lines: &[(&str, i64)]| crate::domain::Lines::parse(lines.iter().copied()).unwrap().digest("");
        let (mine, other) = (digest(&[("a", 1)]), digest(&[("a", 2)]));
        let stored = |state| Stored {
            state,
            request_digest: Some(mine.as_bytes().to_vec()),
            expires_at: DateTime::<Utc>::UNIX_EPOCH,
        };
        let released = State::Released(ReleaseCause::Requested);
        assert_eq!(stored(State::Reserved).repeat(&mine), Ok(DateTime::<Utc>::UNIX_EPOCH));
        assert_eq!(stored(State::Committed).repeat(&mine), Ok(DateTime::<Utc>::UNIX_EPOCH));
        assert_eq!(stored(State::Reserved).repeat(&other), Err(ReserveRefusal::KeyReused));
        assert_eq!(stored(released).repeat(&mine), Err(ReserveRefusal::Released));
        let tombstone = Stored { request_digest: None, ..stored(released) };
        assert_eq!(tombstone.repeat(&mine), Err(ReserveRefusal::Released));
    }

    proptest! {
        #[test]
        fn prop_units_are_always_where_the_state_says(events in prop::collection::vec(prop::sample::select(&EVENTS), 0..8)) {
            let (state, moved) = after(Some(State::Reserved), &events);
            let expected = units_of(state.unwrap());
            let held = [moved[0], 1 + moved[1], moved[2]];
            prop_assert_eq!(held, expected);
        }

        #[test]
        fn prop_an_event_delivered_twice_acts_once(
            before in prop::collection::vec(prop::sample::select(&EVENTS), 0..5),
            event in prop::sample::select(&EVENTS),
        ) {
            let (state, _) = after(Some(State::Reserved), &before);
            let (once, _) = after(state, &[event]);
            prop_assert_eq!(after(once, &[event]), (once, [0; 3]));
        }
    }
}
