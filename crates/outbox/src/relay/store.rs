//! The relay's queries.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// Most rows of one round. At a few milliseconds a round it is tens of thousands of events a second, far past what a
/// database can append; larger batches only make a repeat after a crash larger.
pub(super) const BATCH_ROWS_MAX: i64 = 256;
/// Most payload bytes of one round, beyond its first row: with the largest row it stays within a third of the
/// producer's queue.
const BATCH_BYTES_MAX: i64 = 4 * 1024 * 1024;
/// First key of our advisory locks, "outb" in ASCII, so that they collide with nobody else's. The second is the lane.
const LOCK_CLASS: i32 = 0x6f75_7462;

/// An event as stored. Made into a record by the header codec.
#[derive(Debug, Clone)]
pub(crate) struct OutboxRow {
    pub(crate) id: Uuid,
    pub(crate) aggregate_id: String,
    pub(crate) event_type: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) home_region: String,
    pub(crate) traceparent: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
}

/// Where a lane takes its rows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Outbox,
    OutboxPeer,
}

/// What a lane does with a published row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Delete,
    MoveToPeer,
}

/// Takes the lane's lock for as long as the connection lives. False: another relay has it.
pub(super) async fn try_lock(conn: &mut PgConnection, table: Table) -> Result<bool, sqlx::Error> {
    let lane = match table {
        Table::Outbox => 1,
        Table::OutboxPeer => 2,
    };
    sqlx::query_scalar!(r#"select pg_try_advisory_lock($1, $2) as "locked!""#, LOCK_CLASS, lane).fetch_one(conn).await
}

/// The oldest rows, up to `rows_max`, in order; empty when all is published. Rows of the `held` aggregates are left.
///
/// No row is locked: the lane's lock already makes this relay the only one, so a round is two statements and no transaction of
/// its own. Most looks find nothing, and then it is one.
pub(super) async fn oldest(
    conn: &mut PgConnection,
    table: Table,
    rows_max: i64,
    held: &[String],
) -> Result<Vec<OutboxRow>, sqlx::Error> {
    // Chosen by count, then by bytes.
    match table {
        Table::Outbox => {
            sqlx::query_as!(
                OutboxRow,
                "select id, aggregateid as aggregate_id, type as event_type, payload,
                     home_region, traceparent, created_at
                 from (
                     select *,
                         sum(octet_length(payload)) over (order by position) - octet_length(payload) as bytes_before
                     from (
                         select * from outbox where aggregateid <> all($3) order by position limit $1
                     ) as first
                 ) as sized
                 where bytes_before <= $2
                 order by position",
                rows_max,
                BATCH_BYTES_MAX,
                held,
            )
            .fetch_all(conn)
            .await
        }
        Table::OutboxPeer => {
            sqlx::query_as!(
                OutboxRow,
                "select id, aggregateid as aggregate_id, type as event_type, payload,
                     home_region, traceparent, created_at
                 from (
                     select *,
                         sum(octet_length(payload)) over (order by position) - octet_length(payload) as bytes_before
                     from (
                         select * from outbox_peer where aggregateid <> all($3) order by position limit $1
                     ) as first
                 ) as sized
                 where bytes_before <= $2
                 order by position",
                rows_max,
                BATCH_BYTES_MAX,
                held,
            )
            .fetch_all(conn)
            .await
        }
    }
}

/// Whether a round of so many rows may have left some behind. (One that is full by its bytes does not count: what it sends takes so long
/// that a pause after it is nothing.)
pub(super) fn is_full(rows: usize) -> bool {
    i64::try_from(rows).is_ok_and(|rows| rows >= BATCH_ROWS_MAX)
}

/// Says that the local lane will look by itself for `duration` from now on, so that appends need not notify it.
pub(super) async fn announce_awake(conn: &mut PgConnection, duration: Duration) -> Result<(), sqlx::Error> {
    // no crash point: it lapses by itself, and what nobody was notified of meanwhile the next relay's first look finds
    sqlx::query!(
        "update outbox_relay set awake_until = clock_timestamp() + make_interval(secs => $1)",
        duration.as_secs_f64(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes published rows from their table. Moving is one statement, so that a row is never in both tables or in
/// neither.
pub(super) async fn remove(
    conn: &mut PgConnection,
    table: Table,
    after: After,
    ids: &[Uuid],
) -> Result<(), sqlx::Error> {
    match (table, after) {
        (Table::Outbox, After::MoveToPeer) => {
            sqlx::query!(
                "with published as (delete from outbox where id = any($1) returning *)
                 insert into outbox_peer
                     (id, aggregatetype, aggregateid, type, payload, position, home_region, traceparent, created_at)
                 select id, aggregatetype, aggregateid, type, payload, position, home_region, traceparent, created_at
                 from published",
                ids,
            )
            .execute(conn)
            .await?
        }
        (Table::Outbox, After::Delete) => {
            sqlx::query!("delete from outbox where id = any($1)", ids).execute(conn).await?
        }
        (Table::OutboxPeer, After::Delete | After::MoveToPeer) => {
            sqlx::query!("delete from outbox_peer where id = any($1)", ids).execute(conn).await?
        }
    };
    Ok(())
}

/// Removes those of the published rows that nobody holds, of the aggregates of which nobody holds one: the rows of an aggregate move on in
/// their order. Returns the rows that are left.
///
/// Locking each row costs as much again as deleting it, so this comes after [`remove`] was refused.
pub(super) async fn remove_free(
    conn: &mut PgConnection,
    table: Table,
    after: After,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut transaction = conn.begin().await?;
    let (free, left): (Vec<Locked>, Vec<Locked>) =
        lock_free(&mut transaction, table, ids).await?.into_iter().partition(|row| row.is_free);
    let [free, left] = [free, left].map(|rows| rows.into_iter().map(|row| row.id).collect::<Vec<_>>());
    remove(&mut transaction, table, after, &free).await?;
    // no crash point: a round's commit, later; what is left is published again, under the same ids.
    transaction.commit().await?;
    Ok(left)
}

/// A published row that is still there.
struct Locked {
    id: Uuid,
    /// Nobody else holds a row of its aggregate: it is locked for us.
    is_free: bool,
}

/// Locks those of the rows that nobody holds.
async fn lock_free(conn: &mut PgConnection, table: Table, ids: &[Uuid]) -> Result<Vec<Locked>, sqlx::Error> {
    match table {
        Table::Outbox => {
            sqlx::query_as!(
                Locked,
                r#"with here as (
                     select id, aggregateid from outbox where id = any($1)
                 ), free as (
                     select id from outbox where id = any($1) for update skip locked
                 )
                 select id, aggregateid not in (select aggregateid from here where id not in (select id from free)) as "is_free!"
                 from here"#,
                ids,
            )
            .fetch_all(conn)
            .await
        }
        Table::OutboxPeer => {
            sqlx::query_as!(
                Locked,
                r#"with here as (
                     select id, aggregateid from outbox_peer where id = any($1)
                 ), free as (
                     select id from outbox_peer where id = any($1) for update skip locked
                 )
                 select id, aggregateid not in (select aggregateid from here where id not in (select id from free)) as "is_free!"
                 from here"#,
                ids,
            )
            .fetch_all(conn)
            .await
        }
    }
}
