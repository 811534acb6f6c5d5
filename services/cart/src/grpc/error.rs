//! Errors as statuses, chosen by what the caller should do next.

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::status;
use ids::CartId;
use money::Currency;
use tonic::Status;

use crate::domain::{CHECKOUTS_OPEN_MAX, LINES_MAX, Rejection, TooLarge};
use crate::store::StoreError;

/// After losing this many races on one cart in a row, ask the client to come back: somebody else got through each time.
pub(super) const RACES_MAX: u32 = 20;

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for Status {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Database(database) => of_guard(database).unwrap_or_else(|| status::from_database(database)),
            StoreError::Standby => {
                status::unavailable(status::reasons::DEPENDENCY_UNAVAILABLE, error.to_string(), Duration::from_secs(1))
            }
            StoreError::Corrupt(_)
            | StoreError::CorruptId(_)
            | StoreError::CorruptState(_)
            | StoreError::Exhausted(_)
            | StoreError::CheckoutMissing(_) => status::internal(error),
        }
    }
}

impl From<Rejection> for Status {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.to_string();
        match rejection {
            Rejection::LineNotFound => status::not_found("LINE_NOT_FOUND", message),
            Rejection::CartFull => status::failed_precondition("CART_FULL", message, &[]),
            Rejection::LineFull => status::failed_precondition("LINE_FULL", message, &[]),
            Rejection::CurrencyDiffers => status::failed_precondition("CART_CURRENCY_DIFFERS", message, &[]),
            Rejection::MixedCurrencies => status::failed_precondition("MIXED_CURRENCIES", message, &[]),
            Rejection::SellerChanged => status::failed_precondition("OFFER_SELLER_CHANGED", message, &[]),
            Rejection::LineInPieces => status::failed_precondition("LINE_IN_PIECES", message, &[]),
            Rejection::PricesFull => status::failed_precondition("CART_PRICES_FULL", message, &[]),
            Rejection::Exhausted(_) => status::internal(&rejection),
        }
    }
}

/// The cart is not there, or belongs to somebody else: the same answer, so that nobody learns which.
pub(super) fn cart_not_found(cart_id: CartId) -> Status {
    status::not_found("CART_NOT_FOUND", format!("there is no cart {cart_id} in this session"))
}

/// The key was used for another request.
pub(super) fn key_reused() -> Status {
    let message = "this idempotency key was used for another request; take a new key for a new request";
    status::already_exists(status::reasons::IDEMPOTENCY_KEY_REUSED, message)
}

/// The cart has moved on since the client saw it.
pub(super) fn version_stale() -> Status {
    status::aborted(
        "CART_VERSION_STALE",
        "the cart has changed since this version; read it again, then order what it shows",
    )
}

/// The client has seen more than this region has: it will have by and by, or never, if the version was made up.
pub(super) fn version_ahead() -> Status {
    status::aborted(
        status::reasons::CART_VERSION_AHEAD,
        "this region has not yet seen all of this cart version; try again",
    )
}

/// What is ordered does not cost what the shopper was shown.
pub(super) fn total_changed() -> Status {
    let message = "the lines do not cost the total that was given; read the cart again, then order what it shows";
    status::failed_precondition("CART_TOTAL_CHANGED", message, &[])
}

/// As many orders of one cart are undecided as may be.
pub(super) fn too_many_checkouts() -> Status {
    let message = format!("{CHECKOUTS_OPEN_MAX} orders of this cart are undecided; try again when some are decided");
    status::failed_precondition("TOO_MANY_CHECKOUTS", message, &[])
}

/// There is no conversion between currencies, and so no total.
pub(super) fn mixed_currencies(currencies: &BTreeSet<Currency>) -> Status {
    let named: Vec<String> = currencies.iter().map(ToString::to_string).collect();
    let message = format!(
        "the cart has amounts in {}, which cannot be one order; remove the lines of all currencies but one, then order",
        named.join(" and ")
    );
    status::failed_precondition("MIXED_CURRENCIES", message, &[])
}

/// It shows more than an order holds.
pub(super) fn too_large(error: TooLarge) -> Status {
    status::failed_precondition("ORDER_TOO_LARGE", error.to_string(), &[])
}

/// There is nothing to order.
pub(super) fn cart_empty() -> Status {
    let message = format!("the cart is empty; add up to {LINES_MAX} lines, then order");
    status::failed_precondition("CART_EMPTY", message, &[])
}

/// Too many writers at once on this one cart.
pub(super) fn cart_contended() -> Status {
    status::unavailable("CART_CONTENDED", "too many changes of this cart at once; try again", Duration::from_millis(50))
}

/// The database was restored from a backup under its old replica number; `backbone cart renumber` gives it a new one.
pub(super) fn rewound() -> Status {
    let message = "carts of this region take no changes until its operators have looked at them";
    status::unavailable("CART_LOG_REWOUND", message, Duration::from_secs(60))
}

/// What the database's own guard of the log says; see `migrations/cart/0108_replica_number.sql`.
fn of_guard(error: &sqlx::Error) -> Option<Status> {
    match error.as_database_error()?.code()?.as_ref() {
        "CR001" => Some(rewound()),
        "CR002" => {
            let message = "carts take no changes until the other region has told what it has of them; try again";
            Some(status::unavailable("CART_LOG_UNCONFIRMED", message, Duration::from_secs(1)))
        }
        "CR003" => {
            let message = "this region's carts go on under a new number in a moment; try again";
            Some(status::unavailable("CART_LOG_RENUMBERED", message, Duration::from_secs(1)))
        }
        _ => None,
    }
}
