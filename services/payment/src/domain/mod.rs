//! The rules of payments: pure, no IO, no clock. What may happen to a payment ([`State`]), what may be asked of it
//! ([`Terms`]), what may be paid back ([`refund`]) and how money is booked ([`ledger`]).

pub mod ledger;
pub mod refund;
mod share;
mod state;
mod terms;

pub use share::{AMOUNT_MINOR_MAX, InvalidShares, SHARES_MAX, Share, Shares, apportion};
pub use state::{Event, GIVEN_UP_CODE, IllegalTransition, IntentId, State, Step};
pub use terms::{CardToken, InvalidTerms, Terms, TermsDigest};
