//! Up to where the log is complete: below the oldest transaction that may yet append to it.
//!
//! `pg_snapshot_xmin` would do, and counts every transaction of the server: one that somebody left open in another database holds
//! it back, though it can never write here. So the transactions that run *in this database* are looked up. What makes that sound is the
//! order of three looks:
//!
//! 1. `next`, the snapshot's first transaction that had not ended. Each transaction below it had its number by then, and with the number
//!    stands in the server's list of processes (Postgres enters it there before it hands out the next one).
//! 2. That list: whoever is below `next` and not in it has ended.
//! 3. The log, in a statement of its own with a later snapshot, which therefore shows whatever those that have ended wrote.
//!
//! Were the log read in the statement of the first two, a transaction that ended between its snapshot and the look at the list would be
//! neither seen nor waited for: its operations would be skipped for good.
//!
//! A standby's list of processes has none of the transactions that it replays from its primary. So there is no horizon on one, and none is
//! guessed.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{StoreError, unsigned};

/// Up to where the log is complete, and why no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Horizon {
    /// Each transaction below it that will ever be in the log can be read.
    pub below: u64,
    /// The oldest transaction of this database that still runs.
    pub held_by: Option<Holder>,
}

/// A transaction that may yet append to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process; none when it is prepared, and waits for somebody's second phase.
    pub pid: Option<i32>,
    /// Since when; unknown of another role's.
    pub since: Option<DateTime<Utc>>,
}

/// Looks for the horizon. Read the log afterwards, in another statement and outside a transaction.
///
/// # Errors
/// [`StoreError::Database`]; [`StoreError::Standby`].
pub async fn horizon(connection: &mut PgConnection) -> Result<Horizon, StoreError> {
    let row = sqlx::query!(
        r#"with server as materialized (
               select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next
           ), running as materialized (
               select s.pid, s.xact_start as since, s.backend_xid::text::bigint as number
               from pg_stat_get_activity(null) s
               where s.datid = (select oid from pg_database where datname = current_database())
                   and s.backend_xid is not null and s.pid <> pg_backend_pid()
               union all
               select null, p.prepared, p.transaction::text::bigint
               from pg_prepared_xacts p where p.database = current_database()
           ), older as (
               -- Numbers of running transactions have 32 bits and lie within 2^31 of each other.
               select pid, since, server.next - ((server.next - number) & 4294967295) as transaction
               from running cross join server
               where ((server.next - number) & 4294967295) between 1 and 2147483647
           )
           select server.next as "next!", pg_is_in_recovery() as "is_standby!",
               oldest.transaction as "transaction?", oldest.pid as "pid?", oldest.since as "since?"
           from server left join lateral (select * from older order by transaction limit 1) oldest on true"#,
    )
    .fetch_one(connection)
    .await?;
    if row.is_standby {
        return Err(StoreError::Standby);
    }
    let held_by = row.transaction.map(|_| Holder { pid: row.pid, since: row.since });
    Ok(Horizon { below: unsigned(row.transaction.unwrap_or(row.next)), held_by })
}
