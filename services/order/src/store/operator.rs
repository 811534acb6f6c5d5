//! What operators do. The order's row is locked, looked at, changed, and the act recorded, in one transaction; a new fencing token
//! stops a driver that is at work.

use chrono::{DateTime, Utc};
use ids::{OrderId, RefundId};
use sabotage::crash_point;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Store, StoreError, refusal};
use crate::domain::{Decision, Driving, NotPossible, OperatorAction, RefundStanding, Refusal, Standing};
use crate::sagas::place_order::Step;

/// Version 1; there was none before.
const VERSION: u8 = 1;

/// Why an operator's decision was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// There is no such order here.
    #[error("no such order")]
    NotFound,
    /// The key names another decision.
    #[error("the idempotency key was used for another decision")]
    KeyReused,
    /// Not as the order stands.
    #[error(transparent)]
    NotPossible(#[from] NotPossible),
    /// The database failed; the same decision may be sent again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OperatorError {
    fn from(error: sqlx::Error) -> Self {
        let is_key = |error: &dyn sqlx::error::DatabaseError| error.constraint() == Some("operator_action_key_unique");
        // Two decisions about two orders under one key, at once: the row locks did not keep them apart.
        if error.as_database_error().is_some_and(is_key) { Self::KeyReused } else { Self::Store(error.into()) }
    }
}

/// The recorded form of a standing.
#[derive(Serialize)]
struct Recorded<'a> {
    version: u8,
    #[serde(flatten)]
    standing: &'a Standing,
}

impl Store {
    /// Carries out an operator's decision, once: a repeat changes nothing more. Returns how the order stands after it, now.
    pub async fn operate(&self, decision: &Decision) -> Result<Standing, OperatorError> {
        let mut transaction = chassis::database::begin(&self.pool).await?;
        let before = lock(&mut transaction, decision.order).await?.ok_or(OperatorError::NotFound)?;
        if is_repeat(&mut transaction, decision).await? {
            return Ok(before);
        }
        decision.action.check(&before)?;
        match decision.action {
            OperatorAction::Park => park(&mut transaction, decision).await?,
            OperatorAction::Retry => retry(&mut transaction, decision.order).await?,
            OperatorAction::Compensate => compensate(&mut transaction, decision.order).await?,
            OperatorAction::Close => close(&mut transaction, decision.order).await?,
        }
        let after = lock(&mut transaction, decision.order).await?.ok_or(OperatorError::NotFound)?;
        record(&mut transaction, decision, &before, &after).await?;
        crash_point("order.operate.before-commit").await;
        transaction.commit().await?;
        crash_point("order.operate.after-commit").await;
        Ok(after)
    }

    /// Up to `limit` orders of which something is parked, those that wait longest first, and how many there are.
    pub async fn parked(&self, limit: usize) -> Result<(Vec<Standing>, i64), StoreError> {
        let mut conn = self.pool.acquire().await?;
        let rows = sqlx::query!(
            r#"with parked as (
                select order_id, parked_at from customer_order where parked_at is not null
                union all
                select order_id, parked_at from order_return where parked_at is not null
             )
             select order_id as "order_id!", count(*) over () as "total!"
             from parked
             group by order_id
             order by min(parked_at)
             limit $1"#,
            i64::try_from(limit).unwrap_or(i64::MAX),
        )
        .fetch_all(&mut *conn)
        .await?;
        let total = rows.first().map_or(0, |row| row.total);
        let mut standings = Vec::with_capacity(rows.len());
        for row in rows {
            standings.extend(look(&mut conn, OrderId::from_uuid(row.order_id)).await?);
        }
        Ok((standings, total))
    }
}

async fn lock(conn: &mut PgConnection, order: OrderId) -> Result<Option<Standing>, sqlx::Error> {
    // The order's row before its returns', as everywhere.
    sqlx::query!("select from customer_order where order_id = $1 for update", order.as_uuid())
        .execute(&mut *conn)
        .await?;
    sqlx::query!("select from order_return where order_id = $1 and state = 'requested' for update", order.as_uuid())
        .execute(&mut *conn)
        .await?;
    look(conn, order).await
}

async fn look(conn: &mut PgConnection, id: OrderId) -> Result<Option<Standing>, sqlx::Error> {
    let order = sqlx::query!(
        r#"select state, drive_after is not null as "is_driven!", parked_at, parked_reason, attempts, fence
         from customer_order where order_id = $1"#,
        id.as_uuid(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(order) = order else { return Ok(None) };
    let refunds = sqlx::query!(
        r#"select return_id, drive_after is not null as "is_driven!", parked_at, parked_reason, attempts, fence
         from order_return where order_id = $1 and state = 'requested'
         order by created_at, return_id"#,
        id.as_uuid(),
    )
    .fetch_all(conn)
    .await?;
    let refunds = refunds.into_iter().map(|row| RefundStanding {
        refund: RefundId::from_uuid(row.return_id),
        driving: driving(row.is_driven, row.parked_at.zip(row.parked_reason)),
        attempts: row.attempts,
        fence: row.fence,
    });
    Ok(Some(Standing {
        order: id,
        state: order.state,
        driving: driving(order.is_driven, order.parked_at.zip(order.parked_reason)),
        attempts: order.attempts,
        fence: order.fence,
        refunds: refunds.collect(),
    }))
}

fn driving(is_driven: bool, parked: Option<(DateTime<Utc>, String)>) -> Driving {
    match parked {
        Some((since, reason)) => Driving::Parked { reason, since },
        None if is_driven => Driving::Driven,
        None => Driving::Nothing,
    }
}

async fn is_repeat(conn: &mut PgConnection, decision: &Decision) -> Result<bool, OperatorError> {
    let known = sqlx::query!(
        "select order_id, action, operator, reason from operator_action where idempotency_key = $1",
        decision.idempotency_key,
    )
    .fetch_optional(conn)
    .await?;
    let Some(known) = known else { return Ok(false) };
    let is_same = known.order_id == decision.order.as_uuid()
        && known.action == decision.action.name()
        && known.operator == decision.operator
        && known.reason == decision.reason;
    if is_same { Ok(true) } else { Err(OperatorError::KeyReused) }
}

async fn park(conn: &mut PgConnection, decision: &Decision) -> Result<(), sqlx::Error> {
    let reason = format!("parked by {}: {}", decision.operator, decision.reason);
    sqlx::query!(
        "update customer_order set fence = fence + 1, drive_after = null, parked_at = now(), parked_reason = $2
         where order_id = $1 and drive_after is not null",
        decision.order.as_uuid(),
        reason,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update order_return set fence = fence + 1, drive_after = null, parked_at = now(), parked_reason = $2
         where order_id = $1 and drive_after is not null",
        decision.order.as_uuid(),
        reason,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn retry(conn: &mut PgConnection, order: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update customer_order
         set fence = fence + 1, attempts = 0, drive_after = now(), parked_at = null, parked_reason = null
         where order_id = $1 and parked_at is not null",
        order.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update order_return
         set fence = fence + 1, attempts = 0, drive_after = now(), parked_at = null, parked_reason = null
         where order_id = $1 and parked_at is not null",
        order.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// From the last step before the pivot, as when an outcome stayed unknown: any of them may have had its effect.
async fn compensate(conn: &mut PgConnection, order: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update customer_order
         set state = 'compensating', unwind_from = $2, refusal = $3, card_token = null, fence = fence + 1, attempts = 0,
             drive_after = now(), parked_at = null, parked_reason = null
         where order_id = $1 and state = 'pending'",
        order.as_uuid(),
        Step::AuthorisePayment.name(),
        refusal::encode(&Refusal::called_off()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is parked counts as done: an order that unwinds is rejected, a void needs no more driving, a refund paid nothing that went through
/// payment. The others, cart and inventory, ask for the order's fate and act on it by themselves.
async fn close(conn: &mut PgConnection, order: OrderId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update customer_order
         set state = case when state = 'compensating' then 'rejected' else state end, unwind_from = null,
             fence = fence + 1, drive_after = null, parked_at = null, parked_reason = null
         where order_id = $1 and parked_at is not null and state <> 'pending'",
        order.as_uuid(),
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        "update order_return
         set state = 'refunded', paid_minor = 0, fence = fence + 1, drive_after = null, parked_at = null, parked_reason = null
         where order_id = $1 and parked_at is not null",
        order.as_uuid(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn record(
    conn: &mut PgConnection,
    decision: &Decision,
    before: &Standing,
    after: &Standing,
) -> Result<(), OperatorError> {
    let form = |standing| {
        let recorded = Recorded { version: VERSION, standing };
        let corrupt = |error: serde_json::Error| StoreError::Corrupt {
            order: decision.order.as_uuid(),
            detail: error.to_string(),
        };
        serde_json::to_value(recorded).map_err(corrupt)
    };
    sqlx::query!(
        "insert into operator_action (action_id, idempotency_key, order_id, action, operator, reason, standing_before,
                                      standing_after, acted_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, now())",
        Uuid::now_v7(),
        decision.idempotency_key,
        decision.order.as_uuid(),
        decision.action.name(),
        decision.operator,
        decision.reason,
        form(before)?,
        form(after)?,
    )
    .execute(conn)
    .await?;
    Ok(())
}
