//! Goods that come in from outside.

use sqlx::PgPool;
use uuid::Uuid;

use super::StoreError;
use crate::domain::Lines;

/// What became of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReceiveOutcome {
    /// The units are available, by this call or by an earlier one with the same lines.
    Received,
    /// The receipt's id was used with other lines; nothing changed.
    KeyReused,
    /// These offers are not in the catalogue; nothing changed.
    UnknownOffers(Vec<String>),
}

/// Adds the units of all lines to this region's rights, once per receipt.
///
/// # Errors
/// [`StoreError`]; nothing changed, except that a lost connection leaves it open: repeat the call.
pub async fn receive(pool: &PgPool, receipt_id: Uuid, lines: &Lines) -> Result<ReceiveOutcome, StoreError> {
    let digest = lines.digest("");
    sabotage::crash_point("inventory.receive.before-commit").await;
    let received = sqlx::query_scalar!(
        r#"
        with line as (
            select offer_id, units from unnest($2::text[], $3::bigint[]) as line (offer_id, units)
        ), claim as (
            insert into stock_receipt (receipt_id, request_digest)
            select $1, $4
            where not exists (
                select from line where not exists (select from offer where offer.offer_id = line.offer_id)
            )
            on conflict (receipt_id) do nothing
            returning receipt_id
        ), written as (
            insert into stock_receipt_line (receipt_id, offer_id, units)
            select claim.receipt_id, line.offer_id, line.units
            from claim cross join line
        ), added as (
            insert into stock (offer_id, available)
            select line.offer_id, line.units
            from claim cross join line
            order by line.offer_id collate "C"
            on conflict (offer_id) do update set available = stock.available + excluded.available
        )
        select exists (select from claim) as "received!"
        "#,
        receipt_id,
        &lines.offer_ids() as &[&str],
        &lines.units(),
        digest.as_bytes(),
    )
    .fetch_one(pool)
    .await?;
    sabotage::crash_point("inventory.receive.after-commit").await;
    if received {
        return Ok(ReceiveOutcome::Received);
    }
    let stored = sqlx::query_scalar!("select request_digest from stock_receipt where receipt_id = $1", receipt_id)
        .fetch_optional(pool)
        .await?;
    match stored {
        Some(stored) if stored == digest.as_bytes() => Ok(ReceiveOutcome::Received),
        Some(_) => Ok(ReceiveOutcome::KeyReused),
        None => unknown_offers(pool, lines).await,
    }
}

async fn unknown_offers(pool: &PgPool, lines: &Lines) -> Result<ReceiveOutcome, StoreError> {
    let unknown = sqlx::query_scalar!(
        r#"
        select asked.offer_id as "offer_id!"
        from unnest($1::text[]) as asked (offer_id)
        where not exists (select from offer where offer.offer_id = asked.offer_id)
        order by 1
        "#,
        &lines.offer_ids() as &[&str],
    )
    .fetch_all(pool)
    .await?;
    // An offer that entered the catalogue between the two statements: the next try will find it.
    if unknown.is_empty() { Err(StoreError::Conflict(None)) } else { Ok(ReceiveOutcome::UnknownOffers(unknown)) }
}
