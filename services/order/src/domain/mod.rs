//! The rules of orders: plain functions of state and input. Time, ids and digests come in as arguments; nothing here does IO.

mod cut;
mod home;
mod intention;
mod lifecycle;
mod operator;
mod order;
mod page;
mod personal;
mod prices;
mod refusal;
mod request;
mod returns;
mod shares;

pub use cut::{CutLine, UnorderableCut, total_of};
pub use home::{Decider, Link, Placement};
pub use intention::{Verdict, judge};
pub use lifecycle::{Fate, IllegalTransition, OrderEvent, OrderState};
pub use operator::{Decision, Driving, NotPossible, OperatorAction, RefundStanding, Standing};
pub use order::{Order, OrderLine};
pub use page::{InvalidPageToken, LINES_PER_PAGE_MAX, Page, PageToken, merge, orders_that_fit};
pub use personal::{CardToken, DeliveryAddress};
pub use prices::{InvalidPrices, Prices, UnitsAt};
pub use refusal::{Refusal, RefusalKind, Violation};
pub use request::{PlaceRequest, RequestDigest, ReturnRequest};
pub use returns::{AcceptedReturn, Excess, ReturnLine, ReturnState, UnacceptableReturn, decide_return};
pub use shares::{Share, shares_of};
