//! What a failure tells the caller to do next.

use std::time::Duration;

use chassis::status::reasons::{DEPENDENCY_UNAVAILABLE, IDEMPOTENCY_KEY_REUSED, OVERLOADED};
use chassis::status::{
    Violation, already_exists, failed_precondition, from_database, internal, not_found, unavailable,
};
use ids::OrderId;
use tonic::Status;

use crate::domain::refund::RefundRejected;
use crate::driver::{AuthoriseError, DriveError, VoidError};
use crate::store::StoreError;

/// While the provider is away: about as long as its breaker stays open.
const PROVIDER_RETRY_AFTER: Duration = Duration::from_millis(500);

pub(super) fn of_authorise(order: OrderId, error: AuthoriseError) -> Status {
    match error {
        AuthoriseError::Declined { ref code } => {
            let violation = Violation::new("CARD_DECLINED", order.to_string(), &**code);
            failed_precondition(
                "CARD_DECLINED",
                "the card was declined; order again with another card, under a new key",
                &[violation],
            )
        }
        AuthoriseError::Voided => failed_precondition("PAYMENT_VOIDED", format!("payment {order} was voided"), &[]),
        AuthoriseError::OtherTerms => already_exists(IDEMPOTENCY_KEY_REUSED, format!("payment {order}: {error}")),
        AuthoriseError::ProviderAway => unavailable(DEPENDENCY_UNAVAILABLE, error.to_string(), PROVIDER_RETRY_AFTER),
        AuthoriseError::Overloaded => unavailable(OVERLOADED, error.to_string(), PROVIDER_RETRY_AFTER),
        AuthoriseError::Drive(error) => of_drive(order, error),
    }
}

pub(super) fn of_void(order: OrderId, error: VoidError) -> Status {
    match error {
        VoidError::Captured => failed_precondition("PAYMENT_CAPTURED", format!("payment {order}: {error}"), &[]),
        VoidError::Drive(error) => of_drive(order, error),
    }
}

pub(super) fn of_drive(order: OrderId, error: DriveError) -> Status {
    match error {
        DriveError::Store(error) => of_store(order, error),
        DriveError::Aborted(error) => internal(&error),
    }
}

pub(super) fn of_store(order: OrderId, error: StoreError) -> Status {
    match error {
        StoreError::NotFound => payment_not_found(order),
        StoreError::RefundRejected(RefundRejected::NotCaptured { .. }) => {
            failed_precondition("PAYMENT_NOT_CAPTURED", format!("payment {order}: {error}"), &[])
        }
        StoreError::RefundRejected(RefundRejected::ExceedsShare { ref seller, left_minor, .. }) => {
            let violation =
                Violation::new("REFUND_EXCEEDS_CAPTURE", seller.to_string(), format!("{left_minor} left to refund"));
            failed_precondition("REFUND_EXCEEDS_CAPTURE", format!("payment {order}: {error}"), &[violation])
        }
        StoreError::RefundExceedsCapture { .. } => {
            // The refund is refused all the same, but a guard before the last one has failed.
            tracing::error!(%order, %error, "the database stopped a refund that should not have come so far");
            failed_precondition("REFUND_EXCEEDS_CAPTURE", format!("payment {order}: refunds exceed the capture"), &[])
        }
        StoreError::RefundIdReused => already_exists(IDEMPOTENCY_KEY_REUSED, error.to_string()),
        StoreError::Database(error) => from_database(&error),
        StoreError::Illegal(_) | StoreError::Unbalanced(_) | StoreError::Corrupt { .. } => internal(&error),
    }
}

/// Of a call that is about no one payment.
pub(super) fn of_store_plain(error: StoreError) -> Status {
    match error {
        StoreError::Database(error) => from_database(&error),
        error => internal(&error),
    }
}

pub(super) fn payment_not_found(order: OrderId) -> Status {
    not_found("PAYMENT_NOT_FOUND", format!("no payment of order {order}"))
}
