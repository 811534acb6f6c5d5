//! The number of this database as a replica, and whether its log is known to be whole. The database's own guard refuses to append before
//! it is; see `migrations/cart/0108_replica_number.sql`.

use crdt::ReplicaId;
use replication::Position;
use sqlx::PgExecutor;

use super::{StoreError, signed, unsigned};

/// What the guard knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number that dots and positions are issued under.
    pub replica: ReplicaId,
    /// The log was found whole in this life of the server.
    pub is_confirmed: bool,
    /// It is the same server, and on the same timeline, as when it was: it can only have been restarted, or its disk put back.
    pub is_same_server: bool,
    /// The log went back in time.
    pub is_rewound: bool,
}

/// Claims the database for a region whose first number is `first`, unless it has a number. Returns how it stands.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn claim(database: impl PgExecutor<'_>, first: ReplicaId) -> Result<Standing, StoreError> {
    // no crash point: one statement, and a repeat finds what the first one left.
    let row = sqlx::query!(
        r#"update cart_log
           set replica = coalesce(replica, $1), life = coalesce(life, cart_life()), identity = coalesce(identity, cart_identity())
           returning replica as "replica!", life = cart_life() as "is_confirmed!", identity = cart_identity() as "is_same_server!",
               rewound_at is not null as "is_rewound!""#,
        i16::from(first.0),
    )
    .fetch_one(database)
    .await?;
    standing(row.replica, row.is_confirmed, row.is_same_server, row.is_rewound)
}

/// How the database stands.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn stands(database: impl PgExecutor<'_>) -> Result<Standing, StoreError> {
    let row = sqlx::query!(
        r#"select coalesce(replica, 0::smallint) as "replica!", coalesce(life = cart_life(), true) as "is_confirmed!",
               coalesce(identity = cart_identity(), true) as "is_same_server!", rewound_at is not null as "is_rewound!"
           from cart_log"#,
    )
    .fetch_one(database)
    .await?;
    standing(row.replica, row.is_confirmed, row.is_same_server, row.is_rewound)
}

fn standing(replica: i16, is_confirmed: bool, is_same_server: bool, is_rewound: bool) -> Result<Standing, StoreError> {
    let number = u8::try_from(replica).map_err(|_| StoreError::CorruptState(format!("replica number {replica}")))?;
    Ok(Standing { replica: ReplicaId(number), is_confirmed, is_same_server, is_rewound })
}

/// Whether the log holds the entry at `position`, or held it before it was trimmed. What another region has of the log it once was given: if
/// it is not here any more, the log went back in time.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn holds(database: impl PgExecutor<'_>, position: Position) -> Result<bool, StoreError> {
    if position == Position::START {
        return Ok(true);
    }
    let holds = sqlx::query_scalar!(
        r#"select ($1::bigint, $2::bigint) <= (trimmed_transaction, trimmed_sequence) or exists (
               select from cart_operation
               where origin is null and transaction_id = $1::bigint::text::xid8 and position = $2
           ) as "holds!"
           from cart_log"#,
        signed(position.transaction),
        signed(position.sequence),
    );
    Ok(holds.fetch_one(database).await?)
}

/// Notes that the log is whole, in this life of the server.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn confirm(database: impl PgExecutor<'_>) -> Result<(), StoreError> {
    // no crash point: asked again, the same is found and noted.
    sqlx::query!("update cart_log set life = cart_life(), identity = cart_identity() where rewound_at is null")
        .execute(database)
        .await?;
    Ok(())
}

/// Notes that the log went back in time: nobody appends to it under this number any more.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn rewound(database: impl PgExecutor<'_>) -> Result<(), StoreError> {
    // no crash point: asked again, the same is found and noted.
    sqlx::query!("update cart_log set rewound_at = coalesce(rewound_at, now())").execute(database).await?;
    Ok(())
}

/// The number of the other region now, as far as it has told: of those that share its first one's parity, the highest.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn peer_number(database: impl PgExecutor<'_>, first: ReplicaId) -> Result<ReplicaId, StoreError> {
    let number = sqlx::query_scalar!(
        r#"select coalesce(max(replica), $1) as "number!" from cart_replica where replica % 2 = $1 % 2"#,
        i16::from(first.0),
    );
    let number = unsigned(number.fetch_one(database).await?.into());
    Ok(ReplicaId(u8::try_from(number).unwrap_or(first.0)))
}
