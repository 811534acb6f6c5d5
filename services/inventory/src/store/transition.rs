//! Applying an event to the reservation of an order.

use ids::OrderId;
use sqlx::PgConnection;

use super::StoreError;
use super::rows::{parse_state, state_words};
use crate::domain::{Event, Move, Refusal, State, Transition, react};

/// Looks at the reservation before it is given up. A first reserve can slip in between the look and the tombstone, but only
/// once: reservations are never deleted, so the second look finds and locks it.
const LOOKS_MAX: usize = 2;

/// Applies `event` to the order's reservation by the table [`react`], for all its lines at once: a statement that locks and
/// looks, and one that writes.
///
/// Runs in the caller's transaction: the rows stay locked until it ends. Repeating it is harmless, because a state stays what
/// it is when the same event comes again. The inner result is the rules' answer; a refusal changed nothing.
///
/// # Errors
/// [`StoreError`]; roll back.
pub async fn apply(
    conn: &mut PgConnection,
    event: Event,
    order_id: OrderId,
) -> Result<Result<Transition, Refusal>, StoreError> {
    for _ in 0..LOOKS_MAX {
        let found = lock(conn, order_id).await?;
        let decided = react(found, event);
        let Ok(Transition::To(state, way)) = decided else { return Ok(decided) };
        if found.is_some() {
            write_change(conn, order_id, state, way).await?;
            return Ok(decided);
        }
        if write_tombstone(conn, order_id, state).await? {
            return Ok(decided);
        }
    }
    Err(StoreError::Conflict(None))
}

/// Locks the reservation, if there is one, and returns its state.
async fn lock(conn: &mut PgConnection, order_id: OrderId) -> Result<Option<State>, StoreError> {
    let row = sqlx::query!(
        "select state, release_cause from reservation where order_id = $1 for update",
        order_id.as_uuid(),
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| parse_state(&row.state, row.release_cause.as_deref())).transpose()
}

/// Remembers an order that was let go before it was reserved. `false` when it was reserved meanwhile: look again.
async fn write_tombstone(conn: &mut PgConnection, order_id: OrderId, state: State) -> Result<bool, StoreError> {
    let (state, release_cause) = state_words(state);
    let written = sqlx::query!(
        r#"
        insert into reservation (order_id, state, release_cause, expires_at)
        values ($1, $2, $3, now())
        on conflict (order_id) do nothing
        "#,
        order_id.as_uuid(),
        state,
        release_cause,
    )
    .execute(conn)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Stores the new state and moves the units of every line. The reservation is locked already.
async fn write_change(conn: &mut PgConnection, order_id: OrderId, state: State, way: Move) -> Result<(), StoreError> {
    let (state, release_cause) = state_words(state);
    // SUBTLE: the outer update reads `held`, so the stock rows are locked, in order, before the reservation changes. A repeat
    // of the reserve that waits for those rows can then never be what this waits for.
    sqlx::query!(
        r#"
        with line as materialized (
            select offer_id, units from reservation_line where order_id = $1
        ), held as materialized (
            select stock.offer_id, line.units
            from line join stock on stock.offer_id = line.offer_id
            order by stock.offer_id
            for update of stock
        ), moved as (
            update stock
            set available = stock.available + held.units * $4,
                reserved = stock.reserved + held.units * $5,
                sold = stock.sold + held.units * $6
            from held
            where stock.offer_id = held.offer_id
        )
        update reservation set state = $2, release_cause = $3
        where order_id = $1 and (select count(*) from held) >= 0
        "#,
        order_id.as_uuid(),
        state,
        release_cause,
        way.available,
        way.reserved,
        way.sold,
    )
    .execute(conn)
    .await?;
    Ok(())
}
