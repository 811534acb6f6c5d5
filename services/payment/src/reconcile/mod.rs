//! Reconciliation: our books against the provider's, each difference reported until it is gone.
//!
//! # Theory of operation
//!
//! Everything else here is built so that the books agree; this asks whether they do. It trusts neither side: it lists what the
//! provider made in a span of time, looks each up in our payments, refunds and ledger, then looks for what we count on and the list
//! did not have. It uses the provider's public lists of our own account, so it runs against a real provider too.
//!
//! The two sides cannot be read at one instant. So what is younger than a grace is left out, on either side: the provider's by when it
//! was made, ours by when it last changed. The provider is read first: whatever it did until then we had written down as asked for
//! before, so a row of ours that has not changed for the grace is not on its way but stuck, and that is worth a report.
//!
//! A difference is a row that stays until the books agree again, however many runs that takes; each run looks at all open ones
//! once more, also those that have left its span. Runs may overlap and repeat: they write the same rows.
//!
//! Nothing is mended here. Which side is right is for a person to say, and who says it accepts a difference as it is (`backbone payment
//! settle-difference`): it is reported no more, until either side of it changes.

mod compare;
mod report;
mod run;

pub use compare::{About, Difference, Kind, OurPayment, OurRefund, of_intent, of_order, of_refund, of_refunds};
pub use report::Report;
pub use run::{GRACE, ReconcileError, Reconciler};
