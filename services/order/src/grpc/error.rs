//! Errors as statuses, chosen by what the caller should do next.

use std::time::Duration;

use chassis::status::{self, Violation, reasons};
use tonic::Status;

use crate::domain::{Excess, IllegalTransition, OrderState, Refusal, RefusalKind};
use crate::sagas::place_order::PlaceError;
use crate::store::{OperatorError, ReturnRefused, StoreError};

/// Longer than a restart of a service takes, short enough for a shopper to wait.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A replicated edit takes a round trip and a commit.
const VERSION_ARRIVES_WITHIN: Duration = Duration::from_secs(1);

/// Fields of PlaceOrder that are handed on to callees under the same name.
const CLIENTS_FIELDS: [&str; 4] = ["card_token", "cart_id", "cart_version", "idempotency_key"];

/// No such order, or none of this customer's.
pub(super) fn order_not_found() -> Status {
    status::not_found("ORDER_NOT_FOUND", "no such order")
}

pub(super) fn of_store(error: StoreError) -> Status {
    match error {
        StoreError::Database(error) => status::from_database(&error),
        StoreError::Corrupt { .. } => status::internal(&error),
    }
}

pub(super) fn of_place(error: PlaceError) -> Status {
    let is_version_ahead = error.is_version_ahead();
    match error {
        // It arrives by itself, and nothing was started: the same request again is all it takes.
        PlaceError::Refused(refusal) if is_version_ahead => {
            status::unavailable(&refusal.reason, refusal.message, VERSION_ARRIVES_WITHIN)
        }
        PlaceError::Refused(refusal) => of_refusal(&refusal),
        PlaceError::KeyReused => key_reused(),
        // Told only to that region, which handed the request on.
        PlaceError::Elsewhere(_) => status::home_elsewhere(),
        PlaceError::Unavailable { callee } => {
            let message = format!("{callee} is not answering; send the same request again");
            status::unavailable(reasons::DEPENDENCY_UNAVAILABLE, message, RETRY_AFTER)
        }
        PlaceError::Store(error) => of_store(error),
        PlaceError::Illegal(error) => status::internal(&error),
    }
}

pub(super) fn of_return(error: ReturnRefused) -> Status {
    match error {
        ReturnRefused::NotFound => order_not_found(),
        ReturnRefused::KeyReused => key_reused(),
        ReturnRefused::NotShipped(state) => {
            let message = format!("the order is {}; only what was shipped can be returned", shown(&state));
            status::failed_precondition("ORDER_NOT_SHIPPED", message, &[])
        }
        ReturnRefused::Exceeds(excesses) => {
            let violation = |excess: &Excess| {
                let description = format!("{} units left to return", excess.left);
                Violation::new("RETURN_EXCEEDS_ORDER", excess.offer.as_str(), description)
            };
            let violations: Vec<_> = excesses.iter().map(violation).collect();
            status::failed_precondition("RETURN_EXCEEDS_ORDER", "more units than the order has left", &violations)
        }
        ReturnRefused::Store(error) => of_store(error),
    }
}

pub(super) fn of_operator(error: OperatorError) -> Status {
    match error {
        OperatorError::NotFound => order_not_found(),
        OperatorError::KeyReused => key_reused(),
        OperatorError::NotPossible(no) => status::failed_precondition(no.reason, no.message, &[]),
        OperatorError::Store(error) => of_store(error),
    }
}

pub(super) fn not_cancellable(state: &OrderState, why: &IllegalTransition) -> Status {
    let reason = match state {
        OrderState::Pending | OrderState::Compensating(_) => "ORDER_PENDING",
        OrderState::Shipped => "ORDER_ALREADY_SHIPPED",
        OrderState::Rejected(_) => "ORDER_REJECTED",
        // Those two are never refused; were they, it would be a bug here.
        OrderState::Placed | OrderState::Cancelled => return status::internal(why),
    };
    let instead = if reason == "ORDER_ALREADY_SHIPPED" { "; return it instead" } else { "" };
    status::failed_precondition(reason, format!("the order is {}{instead}", shown(state)), &[])
}

/// A callee's refusal, passed on as the callee meant it.
fn of_refusal(refusal: &Refusal) -> Status {
    let Refusal { kind, reason, message, violations } = refusal;
    match kind {
        RefusalKind::InvalidRequest => of_invalid(message, violations),
        RefusalKind::NotFound => status::not_found(reason, message),
        RefusalKind::AlreadyExists => status::already_exists(reason, message),
        RefusalKind::FailedPrecondition => {
            let violation = |one: &crate::domain::Violation| Violation::new(&one.kind, &one.subject, &one.description);
            status::failed_precondition(reason, message, &violations.iter().map(violation).collect::<Vec<_>>())
        }
        RefusalKind::Aborted => status::aborted(reason, message),
    }
}

/// A callee found a mistake in what it was asked. Fields of the client's own request are named; those that only we sent (shares, amounts)
/// would send the client looking for what it never wrote.
fn of_invalid(message: &str, violations: &[crate::domain::Violation]) -> Status {
    let are_clients = |one: &&crate::domain::Violation| CLIENTS_FIELDS.contains(&one.subject.as_str());
    let fields: Vec<_> = violations.iter().filter(are_clients).map(|one| (&one.subject, &one.description)).collect();
    if fields.is_empty() {
        tracing::error!(message, "a callee refused what we made of a request");
        return status::failed_precondition(
            "ORDER_IMPOSSIBLE",
            "this cart cannot be ordered as it is; change its lines",
            &[],
        );
    }
    status::invalid_request(&fields)
}

fn key_reused() -> Status {
    status::already_exists(
        reasons::IDEMPOTENCY_KEY_REUSED,
        "this idempotency key was used for another request; take a new key for a new request",
    )
}

/// The state as the contract names it.
const fn shown(state: &OrderState) -> &'static str {
    match state {
        OrderState::Compensating(_) => OrderState::Pending.name(),
        state => state.name(),
    }
}
