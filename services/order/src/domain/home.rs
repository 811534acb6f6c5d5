//! Where a request is decided. Pure.
//!
//! Every order has one home region for ever, and its id names it. The checkouts of a cart are decided in its owner's home, so that one
//! version of a cart is ordered once, wherever and under whatever keys it is asked for. While the home cannot be reached a region
//! decides new requests itself, or nobody could buy; but never one that the home may have decided already.

use ids::Region;

/// Whether the other region answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It does, or it is too early to say that it does not.
    Up,
    /// It has not answered for long enough.
    Down,
}

/// What is known of a request to place an order, in the region that received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The region that received it.
    pub here: Region,
    /// The home of the cart's owner.
    pub owner_home: Region,
    /// Whether the other region handed it on: then it is decided here or not at all.
    pub is_handed_on: bool,
    /// Whether this region has made an order of it.
    pub is_known_here: bool,
    /// Whether this region has ever handed it to the owner's home.
    pub was_handed_on: bool,
    /// Whether the other region answers.
    pub link: Link,
}

/// Who decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decider {
    /// This region.
    Here,
    /// The owner's home: hand the request on.
    Home,
    /// The owner's home, which cannot be asked now. Nothing may be started.
    Unreachable,
}

impl Placement {
    /// Who decides the request.
    pub fn decider(self) -> Decider {
        if self.is_handed_on || self.is_known_here || self.owner_home == self.here {
            return Decider::Here;
        }
        match (self.link, self.was_handed_on) {
            (Link::Up, _) => Decider::Home,
            // The home has never heard of it, and cannot: with another key the shopper may order the cart there too, which is documented.
            (Link::Down, false) => Decider::Here,
            // The home may have decided it: its answer, not ours, is the answer.
            (Link::Down, true) => Decider::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ELSEWHERE: Placement = Placement {
        here: Region::West,
        owner_home: Region::East,
        is_handed_on: false,
        is_known_here: false,
        was_handed_on: false,
        link: Link::Up,
    };

    #[test]
    fn the_home_decides_while_it_answers() {
        assert_eq!(ELSEWHERE.decider(), Decider::Home);
        assert_eq!(Placement { was_handed_on: true, ..ELSEWHERE }.decider(), Decider::Home);
    }

    #[test]
    fn a_new_request_is_decided_here_when_the_home_is_away_and_one_it_may_know_is_not() {
        let away = Placement { link: Link::Down, ..ELSEWHERE };
        assert_eq!(away.decider(), Decider::Here);
        assert_eq!(Placement { was_handed_on: true, ..away }.decider(), Decider::Unreachable);
    }

    #[test]
    fn an_order_of_ours_is_answered_here_whatever_the_link() {
        for link in [Link::Up, Link::Down] {
            let known = Placement { is_known_here: true, link, ..ELSEWHERE };
            assert_eq!(known.decider(), Decider::Here);
        }
    }

    proptest! {
        #[test]
        fn a_request_is_handed_on_at_most_once(
            here in prop::sample::select(&Region::ALL[..]),
            owner_home in prop::sample::select(&Region::ALL[..]),
            is_known_here: bool,
            was_handed_on: bool,
            is_down: bool,
        ) {
            let link = if is_down { Link::Down } else { Link::Up };
            let placement = Placement { here, owner_home, is_handed_on: true, is_known_here, was_handed_on, link };
            prop_assert_eq!(placement.decider(), Decider::Here);
        }

        #[test]
        fn what_the_home_may_have_decided_is_never_decided_elsewhere(link_down: bool) {
            let link = if link_down { Link::Down } else { Link::Up };
            let placement = Placement { was_handed_on: true, link, ..ELSEWHERE };
            prop_assert_ne!(placement.decider(), Decider::Here);
        }
    }
}
