//! The log of this region's own operations: reading, acknowledging, trimming.

use std::time::Duration;

use ids::{CartId, CustomerId, OrderId};
use replication::{Position, ReplicaId};
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::horizon::{Holder, horizon};
use super::{
    CheckoutReplica, CheckoutState, Creation, Operation, Ordered, StoreError, ordered_lines, signed, unsigned,
};

/// A stretch of the log.
#[derive(Clone, Debug)]
pub struct Log {
    /// In order.
    pub operations: Vec<(CartId, Operation)>,
    /// The last one's position; where the reading began when there is none.
    pub through: Position,
    /// The last position that was trimmed.
    pub trimmed: Position,
    /// There is more to read now.
    pub more: bool,
}

/// Reads at most `entries_max` operations and `bytes_max` bytes (but at least one operation) after `after`.
///
/// `replica` is this one, which began the checkouts in it. The reading stops below the oldest transaction that may yet commit operations in
/// between: see [`horizon`]. So it is no part of a transaction.
///
/// # Errors
/// [`StoreError`].
pub async fn read_log(
    connection: &mut PgConnection,
    replica: crdt::ReplicaId,
    after: Position,
    entries_max: usize,
    bytes_max: usize,
) -> Result<Log, StoreError> {
    let limit = i64::try_from(entries_max).unwrap_or(i64::MAX);
    let below = horizon(&mut *connection).await?.below;
    let rows = sqlx::query!(
        r#"with entry as (
               select *, octet_length(delta) + octet_length(outcome) as bytes
               from cart_operation
               where origin is null and (transaction_id, position) > ($1::text::xid8, $2::bigint)
                   and transaction_id < $5::text::xid8
               order by transaction_id, position
               limit $3
           ), sized as (
               select *, count(*) over () as found, sum(bytes) over (order by transaction_id, position) - bytes as bytes_before
               from entry
           )
           select o.cart_id, o.operation_key, o.request_digest, o.outcome, o.delta,
                  o.transaction_id::text::bigint as "transaction!", o.position as "position!", o.found as "found!",
                  c.owner_id as "owner_id?", c.idempotency_key as "idempotency_key?",
                  k.order_id as "order_id?", k.cut as "cut?", k.operation as "operation?", k.seen as "seen?",
                  k.ordered as "ordered?: Ordered",
                  l.trimmed_transaction, l.trimmed_sequence
           from sized o
           cross join cart_log l
           left join cart c on o.operation_key = 'created' and c.cart_id = o.cart_id
           left join cart_checkout k on k.order_id = o.order_id
           where o.bytes_before < $4
           order by o.transaction_id, o.position"#,
        after.transaction.to_string(),
        signed(after.sequence),
        limit,
        i64::try_from(bytes_max).unwrap_or(i64::MAX),
        below.to_string(),
    )
    .fetch_all(&mut *connection)
    .await?;
    let Some(first) = rows.first() else { return empty(connection, after).await };
    let trimmed = position(first.trimmed_transaction, first.trimmed_sequence);
    let more = first.found >= limit || usize::try_from(first.found) != Ok(rows.len());
    let mut log = Log { operations: Vec::with_capacity(rows.len()), through: after, trimmed, more };
    for row in rows {
        log.through = position(row.transaction, row.position);
        let cart_id = CartId::from_uuid(row.cart_id);
        let operation = || -> Result<Operation, StoreError> {
            let creation = match row.owner_id.zip(row.idempotency_key) {
                Some((owner_id, key)) => {
                    Some(Creation { owner_id: CustomerId::from_uuid(owner_id), idempotency_key: key.parse()? })
                }
                None => None,
            };
            let checkout = match (CheckoutState::of_operation(&row.operation_key), row.order_id, row.cut) {
                (Some(state), Some(order_id), Some(cut)) => Some(CheckoutReplica {
                    order_id: OrderId::from_uuid(order_id),
                    cut: if state == CheckoutState::Undecided { cut } else { Vec::new() },
                    state,
                    origin: replica,
                    operation: unsigned(row.operation.unwrap_or_default()),
                    seen: row.seen.unwrap_or_default(),
                    lines: ordered_lines(row.ordered.unwrap_or_default())?,
                }),
                _ => None,
            };
            Ok(Operation {
                key: row.operation_key,
                request_digest: row.request_digest,
                outcome: row.outcome,
                delta: row.delta,
                creation,
                checkout,
            })
        };
        match operation() {
            Ok(operation) => log.operations.push((cart_id, operation)),
            // The log goes on without it: it must not keep every other cart from the other region. Anti-entropy tells of its cart again.
            Err(error) => report_unreadable(cart_id, &error),
        }
    }
    Ok(log)
}

/// A stored value of a cart that cannot be read keeps that cart from being shipped, and no other.
pub(super) fn report_unreadable(cart_id: CartId, error: &StoreError) {
    tracing::error!(%cart_id, reason = super::lines::unreadable(error), "a cart cannot be read, so it is not shipped");
    metrics::counter!("cart_replication_unreadable_total").increment(1);
}

/// Nothing after `after`. When the database has never handed out that transaction, it went back in time: the log ends before.
async fn empty(connection: &mut PgConnection, after: Position) -> Result<Log, StoreError> {
    let row = sqlx::query!(
        r#"select trimmed_transaction, trimmed_sequence,
                  pg_snapshot_xmax(pg_current_snapshot())::text::bigint as "next_transaction!"
           from cart_log"#,
    )
    .fetch_one(connection)
    .await?;
    let next = unsigned(row.next_transaction);
    let through =
        if after.transaction < next { after } else { Position { transaction: next.saturating_sub(1), sequence: 0 } };
    let trimmed = position(row.trimmed_transaction, row.trimmed_sequence);
    Ok(Log { operations: Vec::new(), through, trimmed, more: false })
}

/// How far another replica is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// How old the oldest operation is that it has not acknowledged; zero when it has them all.
    pub behind: Duration,
    /// What keeps the log from being read to its end, if something does.
    pub held_by: Option<Holder>,
}

/// How far `replica` is behind.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn lag(pool: &PgPool, replica: ReplicaId) -> Result<Lag, StoreError> {
    let mut connection = pool.acquire().await?;
    let horizon = horizon(&mut connection).await?;
    let behind_s = sqlx::query_scalar!(
        r#"select extract(epoch from now() - created_at)::double precision as "behind!"
           from cart_operation
           where origin is null and (transaction_id, position) > (
               (select coalesce(max(acked_transaction), 0)::text::xid8 from cart_replica where replica = $1),
               (select coalesce(max(acked_sequence), 0) from cart_replica where replica = $1)
           )
           order by transaction_id, position
           limit 1"#,
        i16::from(replica.0),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let behind = Duration::try_from_secs_f64(behind_s.unwrap_or_default().max(0.0)).unwrap_or_default();
    Ok(Lag { behind, held_by: horizon.held_by })
}

/// Where the log of `replica` is joined through.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn received(database: impl PgExecutor<'_>, replica: ReplicaId) -> Result<Position, StoreError> {
    let row = sqlx::query!(
        "select received_transaction, received_sequence from cart_replica where replica = $1",
        i16::from(replica.0),
    );
    let row = row.fetch_optional(database).await?;
    Ok(row.map_or(Position::START, |row| position(row.received_transaction, row.received_sequence)))
}

/// Notes that `replica` has joined our log through `acked`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn acknowledged(
    database: impl PgExecutor<'_>,
    replica: ReplicaId,
    acked: Position,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into cart_replica (replica, acked_transaction, acked_sequence) values ($1, $2, $3)
         on conflict (replica) do update
         set acked_transaction = excluded.acked_transaction, acked_sequence = excluded.acked_sequence",
        i16::from(replica.0),
        signed(acked.transaction),
        signed(acked.sequence),
    )
    .execute(database)
    .await?;
    Ok(())
}

/// Notes that the log of `replica` is joined through `through`, in the transaction that joined it. Returns what is stored now: a late
/// transaction of an earlier stream never sets it back.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn grown_to(
    connection: &mut PgConnection,
    replica: ReplicaId,
    through: Position,
) -> Result<Position, StoreError> {
    sqlx::query!(
        "insert into cart_replica as stored (replica, received_transaction, received_sequence) values ($1, $2, $3)
         on conflict (replica) do update
         set received_transaction = excluded.received_transaction, received_sequence = excluded.received_sequence
         where (stored.received_transaction, stored.received_sequence)
             < (excluded.received_transaction, excluded.received_sequence)",
        i16::from(replica.0),
        signed(through.transaction),
        signed(through.sequence),
    )
    .execute(&mut *connection)
    .await?;
    received(connection, replica).await
}

/// Trims at most `limit` operations that are older than `remembered_for` and that every one of `replicas` has, and as many that came from
/// elsewhere and are older. Returns how many went.
///
/// What is trimmed is no longer recognised when it is repeated, so `remembered_for` is how long a client may repeat a request.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn trim(
    database: impl PgExecutor<'_>,
    replicas: &[ReplicaId],
    remembered_for: Duration,
    limit: i64,
) -> Result<u64, StoreError> {
    let replicas: Vec<i16> = replicas.iter().map(|replica| i16::from(replica.0)).collect();
    let trimmed = sqlx::query_scalar!(
        r#"with acked as (
               select min(array[r.acked_transaction, r.acked_sequence]) as through from cart_replica r
               where r.replica = any($1)
               having count(*) = cardinality($1::smallint[])
           ), shipped as (
               delete from cart_operation using (
                   select o.cart_id, o.operation_key from cart_operation o, acked
                   where o.origin is null and o.created_at < now() - make_interval(secs => $2)
                       and (o.transaction_id, o.position) <= (acked.through[1]::text::xid8, acked.through[2])
                   order by o.transaction_id, o.position
                   limit $3
               ) as old
               where cart_operation.cart_id = old.cart_id and cart_operation.operation_key = old.operation_key
               returning cart_operation.transaction_id::text::bigint as transaction, cart_operation.position
           ), noted as (
               update cart_log set trimmed_transaction = last.through[1], trimmed_sequence = last.through[2]
               from (select max(array[transaction, position]) as through from shipped) as last
               where last.through is not null
           ), foreign_gone as (
               delete from cart_operation using (
                   select o.cart_id, o.operation_key from cart_operation o
                   where o.origin is not null and o.created_at < now() - make_interval(secs => $2)
                   order by o.created_at
                   limit $3
               ) as old
               where cart_operation.cart_id = old.cart_id and cart_operation.operation_key = old.operation_key
               returning 1
           )
           select (select count(*) from shipped) + (select count(*) from foreign_gone) as "trimmed!""#,
        &replicas,
        remembered_for.as_secs_f64(),
        limit,
    );
    Ok(unsigned(trimmed.fetch_one(database).await?))
}

fn position(transaction: i64, sequence: i64) -> Position {
    Position { transaction: unsigned(transaction), sequence: unsigned(sequence) }
}
