//! SABOTAGE, in no real binary: a cart that merges as many shops do. The region that wrote last, by its clock, overwrites the other's
//! cart whole. It converges, and it loses what the other region's shoppers did: a drill that cannot tell proves nothing.

use chrono::{DateTime, Utc};
use crdt::codec::{decode_delta, encode_cart};
use ids::CartId;
use replication::{Position, ReplicaId};
use sqlx::{Connection as _, PgConnection, Row as _};
use std::collections::BTreeMap;

use super::lines::{self, LockedCart};
use super::{Joined, Operation, StoreError, log};
use crate::domain::{CartDelta, CartState};

/// When a cart was last written, here or by what was taken over from there.
const WRITTEN_AT: &str = "select greatest(
         (select max(created_at) from cart_operation where cart_id = $1 and origin is null),
         (select written_at from last_writer where cart_id = $1)
     ) as written_at";

/// Whether this process was told to.
pub fn is_chosen() -> bool {
    std::env::var("CART_MERGE").is_ok_and(|merge| merge == "last-writer-wins")
}

/// Ships whole carts with the time of their last write in place of deltas.
///
/// # Errors
/// [`StoreError`].
pub async fn disguise(connection: &mut PgConnection, log: &mut super::Log) -> Result<(), StoreError> {
    prepare(connection).await?;
    for (cart_id, operation) in &mut log.operations {
        // Under the lock: a write between the lines and their time would ship the old lines with the new time, and the new lines, which
        // come next with the same time, would never be taken over.
        let mut transaction = connection.begin().await?;
        let mut carts = lines::lock(&mut transaction, &[cart_id.as_uuid()]).await?;
        lines::read_all(&mut transaction, &mut carts).await?;
        let Some(cart) = carts.carts.remove(cart_id) else { continue };
        let written_at = written_at(&mut transaction, *cart_id).await?;
        // no crash point: only sabotaged carts come here.
        transaction.commit().await?;
        operation.delta = written_at.timestamp_micros().to_be_bytes().to_vec();
        let state = CartState::from_parts(cart.context, cart.lines).with_address(cart.address);
        operation.delta.extend(encode_cart(&state));
    }
    Ok(())
}

/// Takes over each cart that was written later there than here.
///
/// # Errors
/// [`StoreError`].
pub async fn overwrite(
    connection: &mut PgConnection,
    from: ReplicaId,
    through: Position,
    operations: &[(CartId, Operation)],
) -> Result<Joined, StoreError> {
    prepare(connection).await?;
    for (cart_id, operation) in operations {
        let Some((time, state)) = operation.delta.split_first_chunk::<8>() else { continue };
        let theirs_at = DateTime::from_timestamp_micros(i64::from_be_bytes(*time)).unwrap_or_default();
        let theirs: CartDelta = decode_delta(state)?;
        let mut carts = lines::lock(connection, &[cart_id.as_uuid()]).await?;
        lines::read_all(connection, &mut carts).await?;
        let Some(cart) = carts.carts.get_mut(cart_id) else { continue };
        let later = theirs_at > written_at(connection, *cart_id).await?;
        cart.context.join(&theirs.context);
        if later {
            take_over(cart, &theirs);
            sqlx::query(
                "insert into last_writer values ($1, $2)
                 on conflict (cart_id) do update set written_at = excluded.written_at",
            )
            .bind(cart_id.as_uuid())
            .bind(theirs_at)
            .execute(&mut *connection)
            .await?;
        }
        lines::write(connection, &carts).await?;
    }
    let through = log::grown_to(connection, from, through).await?;
    Ok(Joined { through, refused: Vec::new(), log_grew: false })
}

fn take_over(cart: &mut LockedCart, theirs: &CartDelta) {
    cart.lines.values_mut().for_each(|line| *line = Default::default());
    let kept: BTreeMap<_, _> = theirs.lines.clone();
    cart.line_count = kept.len();
    cart.lines.extend(kept);
    cart.address = theirs.address.clone();
}

async fn prepare(connection: &mut PgConnection) -> Result<(), StoreError> {
    let table = "create table if not exists last_writer (cart_id uuid primary key, written_at timestamptz not null)";
    sqlx::query(table).execute(connection).await?;
    Ok(())
}

async fn written_at(connection: &mut PgConnection, cart_id: CartId) -> Result<DateTime<Utc>, StoreError> {
    let row = sqlx::query(WRITTEN_AT).bind(cart_id.as_uuid()).fetch_one(connection).await?;
    Ok(row.try_get::<Option<DateTime<Utc>>, _>("written_at")?.unwrap_or_default())
}
