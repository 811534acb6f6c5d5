//! Compares our books with the provider's, again and again.

use std::sync::Arc;
use std::time::Duration;

use chassis::database::DatabaseClock;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::psp::Statement;
use crate::reconcile::{ReconcileError, Reconciler};

/// Compares the last `window`, by `clock`, every `every` until `token` is cancelled. What differs is a row, a metric and a line of the log.
///
/// # Errors
/// Never: a run that fails is told of and done again.
pub async fn reconcile<P: Statement>(
    reconciler: Arc<Reconciler<P>>,
    clock: DatabaseClock,
    every: Duration,
    window: Duration,
    token: CancellationToken,
) -> Result<(), ReconcileError> {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = token.cancelled() => return Ok(()),
        }
        let run = reconciler.run(reconciler.span(clock.since_epoch(), window));
        let outcome = tokio::select! {
            report = run => match report {
                Ok(report) if report.agrees() => "agrees",
                Ok(report) => {
                    tracing::warn!(open = report.open.len(), new = report.new, "the provider's books and ours differ");
                    "differs"
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the books were not compared");
                    "failed"
                }
            },
            () = token.cancelled() => return Ok(()),
        };
        metrics::counter!("reconciliation_runs_total", "outcome" => outcome).increment(1);
    }
}
