//! The life of a payment.
//!
//! ```text
//! authorising ──authorised──► authorised ──capture requested──► capturing ──captured──► captured
//!  │    │                         │                                 └─given up─► uncollected
//!  │    └─declined─► declined     └─void requested─► voiding ──voided──► voided
//!  │                    └────────────void requested───────────────────────▲ ▲
//!  │                                                    ▲                   │
//!  └─void requested─► abandoning ──authorised───────────┘                   │
//!                         └──────────declined───────────────────────────────┘
//! ```
//!
//! `authorising` and `abandoning` are *in doubt*: an authorisation may or may not exist at the provider. A void of a payment
//! in doubt cannot finish before the doubt is gone, because the authorisation may still land after the void: hence
//! `abandoning`, which ends at the provider like every other void.
//!
//! What the provider refuses to do, a person gives up, who has looked at its books: an authorisation then counts as declined, a
//! void as done, and a capture as `uncollected`.

use std::fmt;

/// The provider's id of an authorisation.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IntentId(Box<str>);

impl IntentId {
    /// Wraps the provider's text. Never parsed: its form is the provider's business.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a payment stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// In doubt: the provider was, or is about to be, asked to authorise.
    Authorising,
    /// In doubt, and to be voided as soon as it no longer is.
    Abandoning,
    /// The money is held on the card.
    Authorised {
        /// The provider's authorisation.
        intent: IntentId,
    },
    /// The card was declined.
    Declined {
        /// The provider's word for why.
        code: Box<str>,
    },
    /// The order shipped: the money is to be taken, until the provider says that it was.
    Capturing {
        /// The provider's authorisation.
        intent: IntentId,
    },
    /// The money came in.
    Captured {
        /// The provider's authorisation, now a charge.
        intent: IntentId,
    },
    /// The order shipped, and its money never came in.
    Uncollected,
    /// The authorisation is to be let go, until the provider says that it was.
    Voiding {
        /// The provider's authorisation.
        intent: IntentId,
    },
    /// Nothing is held and nothing ever will be.
    Voided,
}

/// What happens to a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The provider holds the money.
    Authorised {
        /// Its authorisation.
        intent: IntentId,
    },
    /// The provider declined; final.
    Declined {
        /// Its word for why.
        code: Box<str>,
    },
    /// The order shipped.
    CaptureRequested,
    /// The provider took the money.
    Captured {
        /// How much, in minor units: all that was held, or less.
        amount_minor: i64,
    },
    /// The order wants nothing held.
    VoidRequested,
    /// The provider let the authorisation go.
    Voided,
    /// A person found that nothing is held and nothing came in.
    GivenUp,
}

/// The decline code of an authorisation that a person gave up.
pub const GIVEN_UP_CODE: &str = "given_up";

/// The call that the provider still owes an answer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hold the money.
    Authorise,
    /// Take the money of this authorisation.
    Capture(IntentId),
    /// Let this authorisation go.
    Void(IntentId),
}

/// The event cannot happen in this state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is not legal in {state:?}")]
pub struct IllegalTransition {
    /// The state it met.
    pub state: State,
    /// The event.
    pub event: Event,
}

impl State {
    /// The state after `event`. Requests (capture, void) may repeat; what the provider did happens once, so a second report
    /// of it here means that an outcome was stored without its claim.
    ///
    /// # Errors
    /// [`IllegalTransition`] for every pair that is not written out below.
    pub fn after(self, event: Event) -> Result<Self, IllegalTransition> {
        match (self, event) {
            (Self::Authorising, Event::Authorised { intent }) => Ok(Self::Authorised { intent }),
            (Self::Authorising, Event::Declined { code }) => Ok(Self::Declined { code }),
            (Self::Authorising | Self::Abandoning, Event::VoidRequested) => Ok(Self::Abandoning),
            (Self::Abandoning, Event::Authorised { intent }) => Ok(Self::Voiding { intent }),
            // Nothing was held, so there is nothing to let go.
            (Self::Abandoning, Event::Declined { .. }) => Ok(Self::Voided),

            (Self::Authorised { intent } | Self::Capturing { intent }, Event::CaptureRequested) => {
                Ok(Self::Capturing { intent })
            }
            (Self::Captured { intent }, Event::CaptureRequested) => Ok(Self::Captured { intent }),
            (Self::Uncollected, Event::CaptureRequested) => Ok(Self::Uncollected),
            (Self::Capturing { intent }, Event::Captured { .. }) => Ok(Self::Captured { intent }),

            (Self::Authorised { intent } | Self::Voiding { intent }, Event::VoidRequested) => {
                Ok(Self::Voiding { intent })
            }
            (Self::Declined { .. } | Self::Voided, Event::VoidRequested) => Ok(Self::Voided),
            (Self::Voiding { .. }, Event::Voided) => Ok(Self::Voided),

            (Self::Authorising, Event::GivenUp) => Ok(Self::Declined { code: GIVEN_UP_CODE.into() }),
            (Self::Abandoning | Self::Voiding { .. }, Event::GivenUp) => Ok(Self::Voided),
            (Self::Capturing { .. }, Event::GivenUp) => Ok(Self::Uncollected),

            (state, event) => Err(IllegalTransition { state, event }),
        }
    }

    /// The provider call that moves the payment on; `None` when it rests. Exactly the states that have one are in flight.
    pub fn step(&self) -> Option<Step> {
        match self {
            Self::Authorising | Self::Abandoning => Some(Step::Authorise),
            Self::Capturing { intent } => Some(Step::Capture(intent.clone())),
            Self::Voiding { intent } => Some(Step::Void(intent.clone())),
            Self::Authorised { .. }
            | Self::Declined { .. }
            | Self::Captured { .. }
            | Self::Uncollected
            | Self::Voided => None,
        }
    }

    /// The name in the store. Stable: never rename one in place.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Authorising => "authorising",
            Self::Abandoning => "abandoning",
            Self::Authorised { .. } => "authorised",
            Self::Declined { .. } => "declined",
            Self::Capturing { .. } => "capturing",
            Self::Captured { .. } => "captured",
            Self::Uncollected => "uncollected",
            Self::Voiding { .. } => "voiding",
            Self::Voided => "voided",
        }
    }

    /// The authorisation, in the states that have one.
    pub const fn intent(&self) -> Option<&IntentId> {
        match self {
            Self::Authorised { intent }
            | Self::Capturing { intent }
            | Self::Captured { intent }
            | Self::Voiding { intent } => Some(intent),
            Self::Authorising | Self::Abandoning | Self::Declined { .. } | Self::Uncollected | Self::Voided => None,
        }
    }

    /// Reads a state back from its stored parts; `None` when they do not make one.
    pub fn from_parts(name: &str, intent: Option<&str>, decline_code: Option<&str>) -> Option<Self> {
        let intent = intent.map(IntentId::new);
        match name {
            "authorising" => Some(Self::Authorising),
            "abandoning" => Some(Self::Abandoning),
            "authorised" => intent.map(|intent| Self::Authorised { intent }),
            "declined" => decline_code.map(|code| Self::Declined { code: code.into() }),
            "capturing" => intent.map(|intent| Self::Capturing { intent }),
            "captured" => intent.map(|intent| Self::Captured { intent }),
            "uncollected" => Some(Self::Uncollected),
            "voiding" => intent.map(|intent| Self::Voiding { intent }),
            "voided" => Some(Self::Voided),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent() -> IntentId {
        IntentId::new("pi_1")
    }

    fn states() -> [State; 9] {
        [
            State::Authorising,
            State::Abandoning,
            State::Authorised { intent: intent() },
            State::Declined { code: "insufficient_funds".into() },
            State::Capturing { intent: intent() },
            State::Captured { intent: intent() },
            State::Uncollected,
            State::Voiding { intent: intent() },
            State::Voided,
        ]
    }

    fn events() -> [Event; 7] {
        [
            Event::Authorised { intent: intent() },
            Event::Declined { code: "insufficient_funds".into() },
            Event::CaptureRequested,
            Event::Captured { amount_minor: 1 },
            Event::VoidRequested,
            Event::Voided,
            Event::GivenUp,
        ]
    }

    /// The whole table: one row per state, one column per event, `-` for an error.
    #[test]
    fn every_pair_of_state_and_event_is_decided() {
        #[rustfmt::skip]
        let table = [
            //              authorised    declined    capture req.   captured    void req.     voided    given up
            ("authorising", ["authorised", "declined", "-",           "-",        "abandoning", "-",      "declined"]),
            ("abandoning",  ["voiding",    "voided",   "-",           "-",        "abandoning", "-",      "voided"]),
            ("authorised",  ["-",          "-",        "capturing",   "-",        "voiding",    "-",      "-"]),
            ("declined",    ["-",          "-",        "-",           "-",        "voided",     "-",      "-"]),
            ("capturing",   ["-",          "-",        "capturing",   "captured", "-",          "-",      "uncollected"]),
            ("captured",    ["-",          "-",        "captured",    "-",        "-",          "-",      "-"]),
            ("uncollected", ["-",          "-",        "uncollected", "-",        "-",          "-",      "-"]),
            ("voiding",     ["-",          "-",        "-",           "-",        "voiding",    "voided", "voided"]),
            ("voided",      ["-",          "-",        "-",           "-",        "voided",     "-",      "-"]),
        ];
        for (state, (name, row)) in states().into_iter().zip(table) {
            assert_eq!(state.name(), name);
            for (event, expected) in events().into_iter().zip(row) {
                let after = state.clone().after(event.clone());
                match after {
                    Ok(after) => assert_eq!(after.name(), expected, "{state:?} + {event:?}"),
                    Err(error) => {
                        assert_eq!("-", expected, "{state:?} + {event:?}");
                        assert_eq!(error, IllegalTransition { state: state.clone(), event });
                    }
                }
            }
        }
    }

    #[test]
    fn a_state_reads_back_as_it_was_stored() {
        for state in states() {
            let code = if let State::Declined { code } = &state { Some(&**code) } else { None };
            assert_eq!(State::from_parts(state.name(), state.intent().map(IntentId::as_str), code), Some(state));
        }
        assert_eq!(State::from_parts("authorised", None, None), None);
        assert_eq!(State::from_parts("refunded", Some("pi_1"), None), None);
    }

    #[test]
    fn only_a_payment_in_flight_owes_the_provider_a_call() {
        let in_flight: Vec<_> = states().iter().filter(|state| state.step().is_some()).map(State::name).collect();
        assert_eq!(in_flight, ["authorising", "abandoning", "capturing", "voiding"]);
    }
}
