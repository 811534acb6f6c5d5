//! What the provider's answer means for a step. Pure.

use money::Money;

use crate::domain::{Event, Step};
use crate::psp::{CallError, Intent, IntentStatus};

/// Reads an authorisation as the outcome of `step`; `None` when the step has not happened yet.
///
/// The same for an answer to a call and to a question, so that both lead to the same state.
///
/// # Errors
/// [`CallError::Refused`] when the provider contradicts what we know: no state of ours would be true.
pub(super) fn read(step: &Step, amount: Money, intent: &Intent) -> Result<Option<Event>, CallError> {
    let contradiction = |detail: &str| Err(CallError::Refused { detail: detail.into() });
    if intent.amount != amount {
        return contradiction("the provider holds another amount than ours");
    }
    match (step, intent.status) {
        (Step::Authorise, IntentStatus::RequiresCapture) => Ok(Some(Event::Authorised { intent: intent.id.clone() })),
        // Let go by the provider itself before we even learned of it: nothing is held.
        (Step::Authorise, IntentStatus::Canceled) => Ok(Some(Event::Declined { code: "canceled_by_provider".into() })),
        (Step::Authorise, IntentStatus::Succeeded) => contradiction("captured before we asked for it"),

        (Step::Capture(_) | Step::Void(_), IntentStatus::RequiresCapture) => Ok(None),
        // Less than we told it to take is still true, and all that will ever come of this authorisation.
        (Step::Capture(_), IntentStatus::Succeeded) if (1..=amount.minor_units()).contains(&intent.captured_minor) => {
            Ok(Some(Event::Captured { amount_minor: intent.captured_minor }))
        }
        (Step::Capture(_), IntentStatus::Succeeded) => contradiction("captured nothing, or more than it held"),
        (Step::Capture(_), IntentStatus::Canceled) => contradiction("let go, but it is to be captured"),
        (Step::Void(_), IntentStatus::Canceled) => Ok(Some(Event::Voided)),
        (Step::Void(_), IntentStatus::Succeeded) => contradiction("captured, but it is to be voided"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::IntentId;

    fn gbp(minor_units: i64) -> Money {
        Money::new(minor_units, "GBP".parse().unwrap())
    }

    #[test]
    fn every_step_reads_every_status() {
        let id = IntentId::new("pi_1");
        let (capture, void) = (Step::Capture(id.clone()), Step::Void(id.clone()));
        let (held, taken, gone) = (IntentStatus::RequiresCapture, IntentStatus::Succeeded, IntentStatus::Canceled);
        for (step, status, captured_minor, expected) in [
            (&Step::Authorise, held, 0, "authorised"),
            (&Step::Authorise, gone, 0, "declined"),
            (&Step::Authorise, taken, 5, "contradiction"),
            (&capture, held, 0, "not yet"),
            (&capture, taken, 5, "captured 5"),
            (&capture, taken, 4, "captured 4"),
            (&capture, taken, 0, "contradiction"),
            (&capture, taken, 6, "contradiction"),
            (&capture, gone, 0, "contradiction"),
            (&void, held, 0, "not yet"),
            (&void, gone, 0, "voided"),
            (&void, taken, 5, "contradiction"),
        ] {
            let intent = Intent { id: id.clone(), status, amount: gbp(5), captured_minor };
            let read_as = match read(step, gbp(5), &intent) {
                Ok(None) => "not yet".to_owned(),
                Ok(Some(Event::Authorised { .. })) => "authorised".to_owned(),
                Ok(Some(Event::Declined { .. })) => "declined".to_owned(),
                Ok(Some(Event::Captured { amount_minor })) => format!("captured {amount_minor}"),
                Ok(Some(Event::Voided)) => "voided".to_owned(),
                Ok(Some(Event::CaptureRequested | Event::VoidRequested | Event::GivenUp)) => "a request".to_owned(),
                Err(_) => "contradiction".to_owned(),
            };
            assert_eq!(read_as, expected, "{step:?} {status:?}");
            assert!(read(step, gbp(6), &intent).is_err(), "another amount");
        }
    }
}
