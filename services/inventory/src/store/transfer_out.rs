//! Rights that this region hands to the other one.

use ids::{OfferId, Region, TransferId};
use sqlx::PgPool;

use super::StoreError;
use super::rows::parse_offer_id;
use crate::domain::{Digest, Lines};

/// What became of a request for rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantOutcome {
    /// Units granted per offer, by this call or by an earlier one with the same lines. Offers granted nothing are absent.
    Granted(Vec<(OfferId, i64)>),
    /// The transfer's id was used with another request; nothing changed.
    KeyReused,
}

/// Takes what it can of the lines off this region's stock, once per transfer, and remembers the outcome in the same
/// statement. From its commit on the units belong to the other region, whether the answer arrives or not.
///
/// # Errors
/// [`StoreError`]; nothing changed, except that a lost connection leaves it open: repeat the call.
pub async fn grant(
    pool: &PgPool,
    transfer_id: TransferId,
    to_region: Region,
    lines: &Lines,
) -> Result<GrantOutcome, StoreError> {
    let digest = lines.digest(to_region.name());
    if let Some(granted) = grant_once(pool, transfer_id, to_region, lines, &digest).await? {
        return Ok(GrantOutcome::Granted(granted));
    }
    recall(pool, transfer_id, &digest).await
}

/// `None` when the transfer has an outcome already.
async fn grant_once(
    pool: &PgPool,
    transfer_id: TransferId,
    to_region: Region,
    lines: &Lines,
    digest: &Digest,
) -> Result<Option<Vec<(OfferId, i64)>>, StoreError> {
    // The sum in `claim` is worth keeping, and it makes the locks of `held` come before the claim.
    sabotage::crash_point("inventory.grant.before-commit").await;
    let rows = sqlx::query!(
        r#"
        with held as materialized (
            select stock.offer_id, least(stock.available, asked.units) as units
            from unnest($2::text[], $3::bigint[]) as asked (offer_id, units)
            join stock on stock.offer_id = asked.offer_id
            order by stock.offer_id
            for update of stock
        ), claim as (
            insert into rights_transfer_out (transfer_id, to_region, request_digest, granted_units)
            select $1, $4, $5, (select coalesce(sum(units), 0) from held)
            on conflict (transfer_id) do nothing
            returning transfer_id
        ), line as (
            insert into rights_transfer_out_line (transfer_id, offer_id, granted)
            select claim.transfer_id, held.offer_id, held.units
            from claim cross join held
            where held.units > 0
        ), taken as (
            update stock set available = stock.available - held.units
            from claim cross join held
            where stock.offer_id = held.offer_id and held.units > 0
        )
        select held.offer_id as "offer_id?", held.units
        from claim left join held on held.units > 0
        "#,
        transfer_id.as_uuid(),
        &lines.offer_ids() as &[&str],
        &lines.units(),
        to_region.name(),
        digest.as_bytes(),
    )
    .fetch_all(pool)
    .await?;
    sabotage::crash_point("inventory.grant.after-commit").await;
    // A claim that granted nothing is one row of nulls; no row at all is no claim.
    if rows.is_empty() {
        return Ok(None);
    }
    let granted = rows.into_iter().filter_map(|row| Some((row.offer_id?, row.units?)));
    granted.map(|(offer_id, units)| Ok((parse_offer_id(&offer_id)?, units))).collect::<Result<_, _>>().map(Some)
}

/// The stored outcome of a transfer.
async fn recall(pool: &PgPool, transfer_id: TransferId, digest: &Digest) -> Result<GrantOutcome, StoreError> {
    let rows = sqlx::query!(
        r#"
        select transfer.request_digest, line.offer_id as "offer_id?", line.granted as "granted?"
        from rights_transfer_out as transfer
        left join rights_transfer_out_line as line on line.transfer_id = transfer.transfer_id
        where transfer.transfer_id = $1
        order by line.offer_id
        "#,
        transfer_id.as_uuid(),
    )
    .fetch_all(pool)
    .await?;
    if rows.is_empty() {
        return Err(StoreError::Conflict(None));
    }
    if rows.iter().any(|row| row.request_digest != digest.as_bytes()) {
        return Ok(GrantOutcome::KeyReused);
    }
    let granted = rows.into_iter().filter_map(|row| Some((row.offer_id?, row.granted?)));
    let granted = granted.map(|(offer_id, units)| Ok((parse_offer_id(&offer_id)?, units)));
    Ok(GrantOutcome::Granted(granted.collect::<Result<_, StoreError>>()?))
}
