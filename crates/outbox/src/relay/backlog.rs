//! The backlog gauges: how much waits in each table, and how long its oldest row has waited.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::telemetry::{BACKLOG, BACKLOG_AGE, BACKLOG_COUNTED_MAX};

const INTERVAL: Duration = Duration::from_secs(5);

/// Measures until `token` is cancelled. While the database is away the gauges keep their last values; the lanes report
/// the outage.
pub(super) async fn watch(pool: PgPool, token: CancellationToken) {
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        tokio::select! {
            () = token.cancelled() => return,
            outcome = tokio::time::timeout(INTERVAL, measure(&pool)) => {
                if let Ok(Err(error)) = outcome {
                    tracing::debug!(%error, "backlog not measured");
                }
            }
        }
    }
}

async fn measure(pool: &PgPool) -> Result<(), sqlx::Error> {
    let row = sqlx::query!(
        r#"select
               (select count(*) from (select from outbox limit $1) as counted) as "local!",
               (select count(*) from (select from outbox_peer limit $1) as counted) as "peer!",
               coalesce((select extract(epoch from clock_timestamp() - created_at)::float8
                         from outbox order by position limit 1), 0) as "local_age!",
               coalesce((select extract(epoch from clock_timestamp() - created_at)::float8
                         from outbox_peer order by position limit 1), 0) as "peer_age!""#,
        BACKLOG_COUNTED_MAX,
    )
    .fetch_one(pool)
    .await?;
    for (lane, count, age) in [("local", row.local, row.local_age), ("peer", row.peer, row.peer_age)] {
        metrics::gauge!(BACKLOG, "lane" => lane).set(count as f64);
        metrics::gauge!(BACKLOG_AGE, "lane" => lane).set(age.max(0.0));
    }
    Ok(())
}
