//! The units held for the order, and the rights that moved between the regions for it.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// A reservation, or the tombstone of one.
#[derive(Clone, Debug, FromRow)]
pub struct Reservation {
    pub state: String,
    pub release_cause: Option<String>,
    /// Let go before it was ever held.
    pub is_tombstone: bool,
    pub expires_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// Units and offers: `2 × bread-board`.
    pub lines: Option<String>,
}

/// Rights that were asked for, in the region that is short.
#[derive(Clone, Debug, FromRow)]
pub struct TransferIn {
    pub transfer_id: Uuid,
    pub state: String,
    pub ask_again_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
    /// `5 of 7 × bread-board`.
    pub lines: Option<String>,
}

/// Rights that were given up, in the other.
#[derive(Clone, Debug, FromRow)]
pub struct TransferOut {
    pub transfer_id: Uuid,
    pub to_region: String,
    pub granted_units: i64,
    pub granted_at: DateTime<Utc>,
}

/// The reservation of an order, and the transfers that it asked for.
///
/// # Errors
/// What the server said.
pub async fn read(conn: &mut PgConnection, order: Uuid) -> Result<(Option<Reservation>, Vec<TransferIn>), sqlx::Error> {
    let reservation = sqlx::query_as(
        "select state, release_cause, request_digest is null as is_tombstone, expires_at, created_at,
                (select string_agg(units || ' × ' || offer_id, ', ' order by offer_id)
                 from reservation_line as line where line.order_id = held.order_id) as lines
         from reservation as held where order_id = $1",
    )
    .bind(order)
    .fetch_optional(&mut *conn)
    .await?;
    // No index finds settled transfers by their order. They are few: one for each order that its region was short for.
    let transfers = sqlx::query_as(
        "select transfer_id, state, ask_again_at, created_at,
                (select string_agg(granted || ' of ' || asked || ' × ' || offer_id, ', ' order by offer_id)
                 from rights_transfer_in_line as line where line.transfer_id = asked.transfer_id) as lines
         from rights_transfer_in as asked where order_id = $1 order by created_at",
    )
    .bind(order)
    .fetch_all(conn)
    .await?;
    Ok((reservation, transfers))
}

/// What was granted of these transfers.
///
/// # Errors
/// What the server said.
pub async fn granted(conn: &mut PgConnection, transfers: &[Uuid]) -> Result<Vec<TransferOut>, sqlx::Error> {
    sqlx::query_as(
        "select transfer_id, to_region, granted_units, granted_at
         from rights_transfer_out where transfer_id = any($1) order by granted_at",
    )
    .bind(transfers)
    .fetch_all(conn)
    .await
}
