//! What each failure tells the caller to do next.

use std::error::Error;
use std::time::Duration;

use chassis::status;
use chassis::status::Violation;
use chassis::status::reasons::{DEPENDENCY_UNAVAILABLE, IDEMPOTENCY_KEY_REUSED};
use tonic::Status;

use super::{ReserveError, reasons};
use crate::domain::{InvalidLine, Refusal, ReserveRefusal, ShortLine};
use crate::store::StoreError;

/// A lost conflict is over within a few commits.
const RETRY_AFTER_CONFLICT: Duration = Duration::from_millis(20);
/// One round trip between the regions, so that a retry meets a link that had time to answer.
const RETRY_AFTER_PEER: Duration = Duration::from_millis(200);

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Conflict(_) => {
                tracing::debug!(error = &error as &dyn Error, "conflict");
                status::unavailable(DEPENDENCY_UNAVAILABLE, "a conflicting change was in the way", RETRY_AFTER_CONFLICT)
            }
            StoreError::Database(database) => status::from_database(database),
            StoreError::BelowZero { .. } | StoreError::UnknownValue { .. } => status::internal(&error),
        }
    }
}

impl From<ReserveError> for Status {
    fn from(error: ReserveError) -> Self {
        match error {
            ReserveError::Refused(ReserveRefusal::KeyReused) => key_reused("order_id"),
            ReserveError::Refused(ReserveRefusal::Released) => {
                status::failed_precondition(reasons::RESERVATION_RELEASED, "the reservation was released", &[])
            }
            ReserveError::OutOfStock(lines) => out_of_stock(&lines),
            ReserveError::Peer(error) => {
                tracing::warn!(error = &error as &dyn Error, "could not ask the other region");
                let message = "the other region may have the units but did not say so; try again";
                status::unavailable(reasons::PEER_UNAVAILABLE, message, RETRY_AFTER_PEER)
            }
            ReserveError::Contended => {
                let message = "other orders took the units while they were fetched; try again";
                status::unavailable(reasons::STOCK_CONTENDED, message, RETRY_AFTER_CONFLICT)
            }
            ReserveError::Store(error) => error.into(),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Committed => {
                let message = "the order was placed; cancel it to give its units back";
                status::failed_precondition(reasons::RESERVATION_COMMITTED, message, &[])
            }
            Refusal::LostReservation { .. } => status::internal(&refusal),
        }
    }
}

/// The key `field` came with another request before.
pub fn key_reused(field: &str) -> Status {
    status::already_exists(IDEMPOTENCY_KEY_REUSED, format!("{field} was used before, with another request"))
}

/// Offers that the request needs in the catalogue; the message names the first few.
pub fn unknown_offers(offers: &[String]) -> Status {
    let first = offers.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
    status::not_found(reasons::OFFER_NOT_FOUND, format!("{} offers are not in the catalogue: {first}", offers.len()))
}

/// Every field that is wrong.
pub fn invalid_lines(mistakes: &[InvalidLine]) -> Status {
    let fields: Vec<_> = mistakes.iter().map(|mistake| (&mistake.field, &mistake.description)).collect();
    status::invalid_request(&fields)
}

/// Which lines, how many are wanted and how many are left.
fn out_of_stock(lines: &[ShortLine]) -> Status {
    let violation = |line: &ShortLine| {
        let description = format!("wanted {}, {} left", line.wanted, line.left);
        Violation::new(reasons::OUT_OF_STOCK, line.offer_id.as_str(), description)
    };
    let violations: Vec<_> = lines.iter().map(violation).collect();
    status::failed_precondition(reasons::OUT_OF_STOCK, format!("{} lines are out of stock", lines.len()), &violations)
}
