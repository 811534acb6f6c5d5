//! Rights that this region asks the other one for.
//!
//! The question is stored as pending before it is asked, and marked credited in the transaction that adds the units. Between
//! the two the other region may have taken them off its stock already, so a pending transfer is never dropped: it is asked
//! again, under its id, until there is an answer to credit.

use std::time::Duration;

use ids::{OrderId, TransferId};
use sqlx::{PgConnection, PgExecutor};

use super::StoreError;
use super::rows::parse_offer_id;
use crate::domain::{Grant, Line, Lines};

/// A transfer whose answer was not credited yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingTransfer {
    /// The idempotency key towards the other region.
    pub transfer_id: TransferId,
    /// What was asked; the same at every repeat.
    pub asked: Lines,
}

/// Stores the question, for the shortfall of `order_id`. `false` when the order has another one pending; nothing was stored.
///
/// Durable before the other region is asked: this commit is what makes a lost answer recoverable.
///
/// # Errors
/// [`StoreError`].
pub async fn open(
    database: impl PgExecutor<'_>,
    order_id: OrderId,
    transfer: &PendingTransfer,
    ask_again_in: Duration,
) -> Result<bool, StoreError> {
    sabotage::crash_point("inventory.open-transfer.before-commit").await;
    let written = sqlx::query!(
        r#"
        with opened as (
            insert into rights_transfer_in (transfer_id, order_id, state, ask_again_at)
            values ($1, $2, 'pending', now() + make_interval(secs => $3))
            on conflict (order_id) where state = 'pending' do nothing
            returning transfer_id
        )
        insert into rights_transfer_in_line (transfer_id, offer_id, asked)
        select opened.transfer_id, line.offer_id, line.units
        from opened cross join unnest($4::text[], $5::bigint[]) as line (offer_id, units)
        "#,
        transfer.transfer_id.as_uuid(),
        order_id.as_uuid(),
        ask_again_in.as_secs_f64(),
        &transfer.asked.offer_ids() as &[&str],
        &transfer.asked.units(),
    )
    .execute(database)
    .await?;
    sabotage::crash_point("inventory.open-transfer.after-commit").await;
    Ok(written.rows_affected() > 0)
}

/// The transfer that an earlier try of the order left pending.
///
/// # Errors
/// [`StoreError`].
pub async fn pending_for(
    database: impl PgExecutor<'_>,
    order_id: OrderId,
) -> Result<Option<PendingTransfer>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select transfer.transfer_id, line.offer_id, line.asked
        from rights_transfer_in as transfer
        join rights_transfer_in_line as line on line.transfer_id = transfer.transfer_id
        where transfer.order_id = $1 and transfer.state = 'pending'
        order by line.offer_id
        "#,
        order_id.as_uuid(),
    )
    .fetch_all(database)
    .await?;
    let Some(transfer_id) = rows.first().map(|row| TransferId::from_uuid(row.transfer_id)) else { return Ok(None) };
    let asked = rows
        .into_iter()
        .map(|row| Ok(Line { offer_id: parse_offer_id(&row.offer_id)?, units: row.asked }))
        .collect::<Result<Vec<_>, StoreError>>()?;
    Ok(Lines::from_sorted(asked).map(|asked| PendingTransfer { transfer_id, asked }))
}

/// Claims up to `limit` transfers that nobody has credited in their time, oldest first, for `ask_again_in`. All times are the database's.
///
/// # Errors
/// [`StoreError`].
pub async fn claim_abandoned(
    database: impl PgExecutor<'_>,
    ask_again_in: Duration,
    limit: i64,
) -> Result<Vec<PendingTransfer>, StoreError> {
    sabotage::crash_point("inventory.claim-transfers.before-commit").await;
    let rows = sqlx::query!(
        r#"
        with due as (
            select transfer_id from rights_transfer_in
            where state = 'pending' and ask_again_at <= now()
            order by ask_again_at
            limit $2
            for update skip locked
        ), claimed as (
            update rights_transfer_in as transfer set ask_again_at = now() + make_interval(secs => $1)
            from due
            where transfer.transfer_id = due.transfer_id
            returning transfer.transfer_id
        )
        select
            claimed.transfer_id,
            array_agg(line.offer_id order by line.offer_id) as "offer_ids!",
            array_agg(line.asked order by line.offer_id) as "asked!"
        from claimed join rights_transfer_in_line as line on line.transfer_id = claimed.transfer_id
        group by claimed.transfer_id
        "#,
        ask_again_in.as_secs_f64(),
        limit,
    )
    .fetch_all(database)
    .await?;
    sabotage::crash_point("inventory.claim-transfers.after-commit").await;
    let mut transfers = Vec::with_capacity(rows.len());
    for row in rows {
        let lines = row
            .offer_ids
            .iter()
            .zip(row.asked)
            .map(|(offer_id, units)| Ok(Line { offer_id: parse_offer_id(offer_id)?, units }));
        let asked = Lines::from_sorted(lines.collect::<Result<_, StoreError>>()?);
        let transfer_id = TransferId::from_uuid(row.transfer_id);
        transfers.extend(asked.map(|asked| PendingTransfer { transfer_id, asked }));
    }
    Ok(transfers)
}

/// Adds what was granted to this region's rights, once per transfer: `false` when it was credited before.
///
/// Locks the stock rows of `and_lock` as well, in one order with its own. A reserve of those lines in the same transaction
/// then takes the units before any other order can, and without a circle of waits.
///
/// # Errors
/// [`StoreError`]; roll back, the transfer stays pending.
pub async fn credit(
    conn: &mut PgConnection,
    transfer_id: TransferId,
    granted: &Grant,
    and_lock: Option<&Lines>,
) -> Result<bool, StoreError> {
    let (offer_ids, units) = (granted.offer_ids(), granted.units());
    // Rows first, in a statement of their own: a row that this statement makes could not be locked in order with the others.
    sqlx::query!(
        r#"
        insert into stock (offer_id)
        select offer_id from unnest($1::text[]) as granted (offer_id)
        order by offer_id collate "C"
        on conflict (offer_id) do nothing
        "#,
        &offer_ids as &[&str],
    )
    .execute(&mut *conn)
    .await?;
    let credited = sqlx::query_scalar!(
        r#"
        with granted as (
            select offer_id, units from unnest($2::text[], $3::bigint[]) as granted (offer_id, units)
        ), held as materialized (
            select offer_id from stock
            where offer_id = any($2::text[]) or offer_id = any($4::text[])
            order by offer_id
            for update
        ), settled as (
            update rights_transfer_in set state = 'credited'
            where transfer_id = $1 and state = 'pending' and (select count(*) from held) >= 0
            returning transfer_id
        ), line as (
            update rights_transfer_in_line as line set granted = granted.units
            from settled cross join granted
            where line.transfer_id = settled.transfer_id and line.offer_id = granted.offer_id
            returning line.offer_id, line.granted
        ), added as (
            update stock set available = stock.available + line.granted
            from line
            where stock.offer_id = line.offer_id
        )
        select exists (select from settled) as "credited!"
        "#,
        transfer_id.as_uuid(),
        &offer_ids as &[&str],
        &units,
        &and_lock.map(Lines::offer_ids).unwrap_or_default() as &[&str],
    )
    .fetch_one(conn)
    .await?;
    Ok(credited)
}
