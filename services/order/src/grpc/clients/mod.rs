//! The services that the sagas call, over gRPC. Statuses end here: a definite no becomes a [`Refusal`], all else is unknown.

mod cart;
mod inventory;
mod payment;

use std::sync::Arc;
use std::time::Duration;

use chassis::client::{Dependency, DependencyConfig, InvalidUrl};
use chassis::status;
use tonic::{Code, Status};

pub use cart::CartClient;
pub use inventory::InventoryClient;
pub use payment::PaymentClient;

use crate::config::Config;
use crate::domain::{Refusal, RefusalKind, Violation};
use crate::sagas::{CallError, Callees};

/// The other region's order service. Its connection is asked often whether it is alive: over a link that is cut it would be waited for.
///
/// # Errors
/// [`InvalidUrl`].
pub fn peer(config: &Config) -> Result<Dependency, InvalidUrl> {
    let patience = DependencyConfig { keep_alive_interval: Duration::from_secs(2), ..DependencyConfig::default() };
    Dependency::new("peer-order", &config.peer_order_url, patience)
}

/// Clients of the services that the configuration names. They connect on first use.
///
/// # Errors
/// [`InvalidUrl`].
pub fn connect(config: &Config) -> Result<Callees, InvalidUrl> {
    let dependency = |name, url: &str| Dependency::new(name, url, DependencyConfig::default());
    Ok(Callees {
        cart: Arc::new(CartClient::new(dependency("cart", &config.cart_url)?)),
        inventory: Arc::new(InventoryClient::new(dependency("inventory", &config.inventory_url)?)),
        payment: Arc::new(PaymentClient::new(dependency("payment", &config.payment_url)?)),
    })
}

/// What a status says about the outcome. Only codes that promise "not done, and will not be" are refusals; ABORTED promises that
/// in some services only, so each client says what it means there.
fn call_error(callee: &'static str, status: &Status, is_aborted_final: bool) -> CallError {
    let kind = match status.code() {
        Code::InvalidArgument => RefusalKind::InvalidRequest,
        Code::NotFound => RefusalKind::NotFound,
        Code::AlreadyExists => RefusalKind::AlreadyExists,
        Code::FailedPrecondition => RefusalKind::FailedPrecondition,
        Code::Aborted if is_aborted_final => RefusalKind::Aborted,
        code => {
            let reason = status::reason(status).unwrap_or_default();
            return CallError::Unknown { callee, detail: format!("{code:?} {reason}") };
        }
    };
    let reason = status::reason(status).unwrap_or_else(|| "UNSPECIFIED".to_owned());
    let preconditions = status::violations(status).into_iter().map(|violation| Violation {
        kind: violation.kind,
        subject: violation.subject,
        description: violation.description,
    });
    let fields = status::field_violations(status).into_iter().map(|violation| Violation {
        kind: status::reasons::INVALID_REQUEST.to_owned(),
        subject: violation.field,
        description: violation.description,
    });
    let violations = preconditions.chain(fields).collect();
    CallError::Refused(Refusal { kind, reason, message: status.message().to_owned(), violations })
}

/// The callee broke the contract: what it did is not known from what it said.
fn nonsense(callee: &'static str, detail: impl std::fmt::Display) -> CallError {
    CallError::Unknown { callee, detail: format!("answer breaks the contract: {detail}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_definite_no_is_a_refusal() {
        let second = Duration::from_secs(1);
        let cases = [
            (status::failed_precondition("OUT_OF_STOCK", "short", &[]), Some(RefusalKind::FailedPrecondition)),
            (status::already_exists("IDEMPOTENCY_KEY_REUSED", "other lines"), Some(RefusalKind::AlreadyExists)),
            (status::invalid_request(&[("lines", "too many")]), Some(RefusalKind::InvalidRequest)),
            (status::not_found("CART_NOT_FOUND", "no cart"), Some(RefusalKind::NotFound)),
            (status::aborted("CART_VERSION_STALE", "moved on"), None),
            (status::unavailable("OVERLOADED", "busy", second), None),
            (status::deadline_exceeded("slow"), None),
            (Status::internal("broken"), None),
            (Status::unknown("what"), None),
            (Status::cancelled("hung up"), None),
            (Status::resource_exhausted("too large"), None),
            (Status::unimplemented("not yet"), None),
        ];
        for (status, expected) in cases {
            let kind = match call_error("callee", &status, false) {
                CallError::Refused(refusal) => Some(refusal.kind),
                CallError::Unknown { .. } => None,
            };
            assert_eq!(kind, expected, "{status:?}");
        }
        let stale = call_error("cart", &status::aborted("CART_VERSION_STALE", "moved on"), true);
        assert!(matches!(stale, CallError::Refused(refusal) if refusal.reason == "CART_VERSION_STALE"));
    }

    #[test]
    fn a_refusal_keeps_what_is_short() {
        let short = status::Violation::new("OUT_OF_STOCK", "mug", "2 left");
        let status = status::failed_precondition("OUT_OF_STOCK", "not enough stock", &[short]);
        let CallError::Refused(refusal) = call_error("inventory", &status, false) else { panic!("not a refusal") };
        assert_eq!((refusal.reason.as_str(), refusal.violations[0].subject.as_str()), ("OUT_OF_STOCK", "mug"));
    }
}
