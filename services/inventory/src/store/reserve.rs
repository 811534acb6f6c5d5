//! Taking the units of an order: the one statement of the happy path.

use chrono::{DateTime, Utc};
use ids::OrderId;
use sqlx::PgExecutor;

use super::StoreError;
use crate::domain::{Digest, Lines};

/// A reservation to be made.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// The order, which has one reservation.
    pub order_id: OrderId,
    /// What to hold.
    pub lines: Lines,
    /// Of `lines`.
    pub digest: Digest,
    /// From when on the expiry worker asks for the order's fate.
    pub expires_at: DateTime<Utc>,
}

/// Reserves every line or none, in one statement: one round trip and, on a pool, one commit.
///
/// `true` when this call made the reservation. `false` when nothing was changed, either because a line is short or because
/// the order has a reservation (or tombstone) already: [`super::find_reservation`] tells which.
///
/// # Errors
/// [`StoreError`]; nothing was reserved, except that a lost connection leaves it open: repeat the call.
pub async fn reserve(database: impl PgExecutor<'_>, wanted: &Reservation) -> Result<bool, StoreError> {
    sabotage::crash_point("inventory.reserve.before-commit").await;
    // SUBTLE: `claim` reads `held`, so all rows are locked, in order, before the order id is claimed; `taken` and `line` read
    // `claim`, so they do nothing unless it was. A repeat that waited here for the first try's locks finds the id claimed.
    // `units > 0` is always true, and there for the planner. It takes any array for 10 rows, for which it would rather scan a
    // stock table of 1,500 offers, twice per order; for a third as many it looks them up, as an order of 3 lines should.
    let reserved = sqlx::query_scalar!(
        r#"
        with wanted as (
            select offer_id, units from unnest($2::text[], $3::bigint[]) as line (offer_id, units)
            where units > 0
        ), held as materialized (
            select stock.offer_id, stock.available, wanted.units
            from wanted join stock on stock.offer_id = wanted.offer_id
            order by stock.offer_id
            for update of stock
        ), claim as (
            insert into reservation (order_id, request_digest, state, expires_at)
            select $1, $4, 'reserved', $5
            where (select count(*) from held where available >= units) = cardinality($2::text[])
            on conflict (order_id) do nothing
            returning order_id
        ), line as (
            insert into reservation_line (order_id, offer_id, units)
            select claim.order_id, wanted.offer_id, wanted.units
            from claim cross join wanted
        ), taken as (
            update stock
            set available = stock.available - held.units, reserved = stock.reserved + held.units
            from claim cross join held
            where stock.offer_id = held.offer_id
        )
        select exists (select from claim) as "reserved!"
        "#,
        wanted.order_id.as_uuid(),
        &wanted.lines.offer_ids() as &[&str],
        &wanted.lines.units(),
        wanted.digest.as_bytes(),
        wanted.expires_at,
    )
    .fetch_one(database)
    .await?;
    sabotage::crash_point("inventory.reserve.after-commit").await;
    Ok(reserved)
}
