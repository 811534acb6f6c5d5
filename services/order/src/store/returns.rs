//! Taking units back: decided under the order's row lock, so that any number of returns at once never takes back more than
//! was ordered.

use std::time::Duration;

use ids::RefundId;
use sabotage::crash_point;
use sqlx::PgConnection;

use super::fence::Fence;
use super::read::load_lines;
use super::row::parse_state;
use super::{Store, StoreError};
use crate::domain::{
    AcceptedReturn, Excess, OrderLine, OrderState, ReturnLine, ReturnRequest, ReturnState, UnacceptableReturn,
    decide_return,
};

/// A return as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// Its name; also that of its refund.
    pub id: RefundId,
    /// What is paid back, in minor units of the order's currency: what the units cost, or, once it is known that less came in, that.
    pub amount_minor: i64,
    /// Where it stands.
    pub state: ReturnState,
    /// What each seller pays back, if it was stored just now and is still to be refunded by the caller.
    pub fresh: Option<AcceptedReturn>,
}

/// Why a return was not stored.
#[derive(Debug, thiserror::Error)]
pub enum ReturnRefused {
    /// This customer has no such order.
    #[error("no such order")]
    NotFound,
    /// The key names another request.
    #[error("the idempotency key was used for another return")]
    KeyReused,
    /// Only what was shipped can come back.
    #[error("the order is {}", .0.name())]
    NotShipped(OrderState),
    /// More than the order has left.
    #[error("more units than the order has left")]
    Exceeds(Vec<Excess>),
    /// The database failed, or holds nonsense.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ReturnRefused {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Store {
    /// Stores a return of units of a shipped order, as `id`, with the duty to refund it, which the caller has for `lease` ([`Fence::FIRST`]).
    /// A repeat of the request finds the first return.
    pub async fn take_back(
        &self,
        request: &ReturnRequest,
        id: RefundId,
        lease: Duration,
        traceparent: Option<String>,
    ) -> Result<Return, ReturnRefused> {
        let mut transaction = chassis::database::begin(&self.pool).await?;
        let order = request.order.as_uuid();
        let row = sqlx::query!(
            "select state, refusal from customer_order where order_id = $1 and customer_id = $2 for update",
            order,
            request.customer.as_uuid(),
        )
        .fetch_optional(&mut *transaction)
        .await?
        .ok_or(ReturnRefused::NotFound)?;
        if let Some(known) = known_return(&mut transaction, request).await? {
            return Ok(known);
        }
        let corrupt = |detail| StoreError::Corrupt { order, detail };
        let state = parse_state(&row.state, row.refusal).map_err(corrupt)?;
        if state != OrderState::Shipped {
            return Err(ReturnRefused::NotShipped(state));
        }
        let lines = load_lines(&mut transaction, &[order]).await?;
        let lines = lines.into_iter().map(OrderLine::try_from).collect::<Result<Vec<_>, _>>()?;
        let accepted = decide_return(&lines, &request.lines).map_err(|error| match error {
            UnacceptableReturn::Exceeds(excesses) => ReturnRefused::Exceeds(excesses),
            UnacceptableReturn::Amount(error) => corrupt(error.to_string()).into(),
        })?;
        let amount_minor = accepted.amount_minor;
        insert(&mut transaction, request, (id, &accepted), lease, traceparent).await?;
        crash_point("order.take-back.before-commit").await;
        transaction.commit().await?;
        crash_point("order.take-back.after-commit").await;
        Ok(Return { id, amount_minor, state: ReturnState::Requested, fresh: Some(accepted) })
    }
}

async fn known_return(conn: &mut PgConnection, request: &ReturnRequest) -> Result<Option<Return>, ReturnRefused> {
    let row = sqlx::query!(
        r#"select return_id, request_digest, state, coalesce(paid_minor, amount_minor) as "amount_minor!" from order_return
         where order_id = $1 and idempotency_key = $2"#,
        request.order.as_uuid(),
        request.idempotency_key.as_str(),
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if !request.digest().is(&row.request_digest) {
        return Err(ReturnRefused::KeyReused);
    }
    let state = if row.state == ReturnState::Refunded.name() { ReturnState::Refunded } else { ReturnState::Requested };
    Ok(Some(Return { id: RefundId::from_uuid(row.return_id), amount_minor: row.amount_minor, state, fresh: None }))
}

/// The return, its lines and what they leave of the order's lines, in one statement.
async fn insert(
    conn: &mut PgConnection,
    request: &ReturnRequest,
    (id, accepted): (RefundId, &AcceptedReturn),
    lease: Duration,
    traceparent: Option<String>,
) -> Result<(), sqlx::Error> {
    let offers: Vec<_> = request.lines.iter().map(|line| line.offer.to_string()).collect();
    let quantities: Vec<_> = request.lines.iter().map(|line: &ReturnLine| line.quantity).collect();
    let digest = request.digest();
    sqlx::query!(
        "with wanted as (
            select offer_id, quantity, amount_minor
            from unnest($8::text[], $9::bigint[], $11::bigint[]) as line (offer_id, quantity, amount_minor)
         ), returned as (
            insert into order_return (return_id, order_id, idempotency_key, request_digest, state, amount_minor, fence,
                                      drive_after, traceparent, created_at)
            values ($1, $2, $3, $4, 'requested', $5, $6, now() + make_interval(secs => $7), $10, now())
         ), lines as (
            insert into order_return_line (return_id, offer_id, quantity, amount_minor)
            select $1, offer_id, quantity, amount_minor from wanted
         )
         update order_line set returned_quantity = returned_quantity + wanted.quantity
         from wanted
         where order_line.order_id = $2 and order_line.offer_id = wanted.offer_id",
        id.as_uuid(),
        request.order.as_uuid(),
        request.idempotency_key.as_str(),
        digest.as_bytes(),
        accepted.amount_minor,
        Fence::FIRST.as_i64(),
        lease.as_secs_f64(),
        &offers,
        &quantities,
        traceparent,
        &accepted.line_amounts_minor,
    )
    .execute(conn)
    .await?;
    Ok(())
}
