//! Forgets what no broker can deliver again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apply::Inbox;
use crate::telemetry;

const INTERVAL: Duration = Duration::from_secs(60);
/// Rows of one statement: a few milliseconds, so that it never stands in the way of a batch.
const ROWS_MAX: i64 = 1_000;
const DEADLINE: Duration = Duration::from_secs(10);

/// Deletes the inbox rows that are older than `retention`, until `token` is cancelled. `retention` has been checked
/// against the topics.
pub(super) async fn run(inbox: &Inbox, retention: Duration, token: &CancellationToken) {
    loop {
        while !token.is_cancelled() {
            let trimming = tokio::time::timeout(DEADLINE, trim(inbox, retention));
            let outcome = tokio::select! {
                () = token.cancelled() => return,
                outcome = trimming => outcome,
            };
            let deleted = match outcome {
                Ok(Ok(deleted)) => deleted,
                Ok(Err(error)) => {
                    tracing::warn!(consumer = inbox.group, %error, "inbox not trimmed");
                    break;
                }
                Err(_) => {
                    tracing::warn!(consumer = inbox.group, "inbox not trimmed within {DEADLINE:?}");
                    break;
                }
            };
            metrics::counter!(telemetry::TRIMMED, "consumer" => inbox.group).increment(deleted);
            if deleted < ROWS_MAX.unsigned_abs() {
                break;
            }
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

/// Deletes one batch and returns its size in rows. `received_at` is the database's clock, so the comparison is too.
async fn trim(inbox: &Inbox, retention: Duration) -> Result<u64, sqlx::Error> {
    // no crash point: nobody asks for these rows any more, and the next round finds what is left
    let done = sqlx::query!(
        "delete from inbox
         where consumer = $1 and event_id in (
             select event_id from inbox
             where consumer = $1 and received_at < now() - make_interval(secs => $2)
             order by received_at
             limit $3
             for update skip locked
         )",
        inbox.group,
        retention.as_secs_f64(),
        ROWS_MAX,
    )
    .execute(&inbox.pool)
    .await?;
    Ok(done.rows_affected())
}
