//! What a person says became of the money of a parked payment or refund: claimed, recorded and written down in one commit.
//!
//! The claim fences off whoever is driving it, and the outcome goes the way of every outcome: the same states, the same entries into the
//! ledger, the same events.

use ids::{OrderId, RefundId};
use sabotage::crash_point;
use sqlx::PgConnection;
use uuid::Uuid;

use super::claim::{Claim, ClaimedPayment, ClaimedPaymentRow, ClaimedRefund, ClaimedRefundRow};
use super::refund::lock;
use super::{Store, StoreError, WAKE_CHANNEL};
use crate::domain::{Event, State};

/// Who decides, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who.
    pub operator: String,
    /// Why; nothing personal.
    pub reason: String,
    /// The operator's key: a repeat changes nothing more.
    pub key: String,
}

/// Why a decision was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// There is no such payment or refund here.
    #[error("there is no such payment or refund here")]
    NotFound,
    /// It is not parked: it is being driven, or at rest.
    #[error("nothing of it is parked")]
    NotParked,
    /// That much cannot have come in.
    #[error(
        "a payment that is {state} cannot have brought in {captured_minor}; only a capture does, and at most the whole amount"
    )]
    CaptureImpossible {
        /// Where it stands.
        state: &'static str,
        /// What was said to have come in.
        captured_minor: i64,
    },
    /// The key names another decision.
    #[error("the idempotency key was used for another decision")]
    KeyReused,
    /// The store failed; the same decision may be sent again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SettleError {
    fn from(error: sqlx::Error) -> Self {
        let is_key = |error: &dyn sqlx::error::DatabaseError| error.constraint() == Some("payment_action_once");
        if error.as_database_error().is_some_and(is_key) { Self::KeyReused } else { Self::Store(error.into()) }
    }
}

/// What is decided, as it is written down.
struct Act<'a> {
    order: OrderId,
    refund: Option<RefundId>,
    action: &'static str,
    outcome: &'a str,
}

impl Store {
    /// Says what came in of a parked payment: an amount of a capture, or 0 for nothing, and nothing held any more. Returns the state
    /// after it.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn settle_payment(
        &self,
        order: OrderId,
        captured_minor: i64,
        decision: &Decision,
    ) -> Result<String, SettleError> {
        let outcome = captured_minor.to_string();
        let act = Act { order, refund: None, action: "settle", outcome: &outcome };
        let mut tx = chassis::database::begin(&self.pool).await?;
        lock(&mut tx, order).await.map_err(not_found)?;
        if let Some(state) = repeated(&mut tx, &act, decision).await? {
            return Ok(state);
        }
        let claimed = self.claim_parked(&mut tx, order).await?.ok_or(SettleError::NotParked)?;
        let event = match (captured_minor, &claimed.state) {
            (0, _) => Event::GivenUp,
            (_, State::Capturing { .. }) if (1..=claimed.amount.minor_units()).contains(&captured_minor) => {
                Event::Captured { amount_minor: captured_minor }
            }
            (_, state) => return Err(SettleError::CaptureImpossible { state: state.name(), captured_minor }),
        };
        let after = claimed.state.clone().after(event.clone()).map_err(StoreError::Illegal)?;
        self.record_payment(&mut tx, &claimed, &event).await?;
        write_down(&mut tx, &act, decision, (claimed.state.name(), after.name())).await?;
        crash_point("payment.settle.before-commit").await;
        tx.commit().await?;
        crash_point("payment.settle.after-commit").await;
        tell(&act, decision, after.name());
        Ok(after.name().to_owned())
    }

    /// Says what became of a parked refund: paid under the provider's id `receipt`, or not paid through the provider at all. Returns the
    /// state after it.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn settle_refund(
        &self,
        refund: RefundId,
        receipt: Option<&str>,
        decision: &Decision,
    ) -> Result<String, SettleError> {
        let order = sqlx::query_scalar!("select order_id from refund where refund_id = $1", refund.as_uuid())
            .fetch_optional(&self.pool)
            .await?
            .ok_or(SettleError::NotFound)?;
        let order = OrderId::from_uuid(order);
        let act = Act { order, refund: Some(refund), action: "settle", outcome: receipt.unwrap_or_default() };
        let mut tx = chassis::database::begin(&self.pool).await?;
        lock(&mut tx, order).await.map_err(not_found)?;
        if let Some(state) = repeated(&mut tx, &act, decision).await? {
            return Ok(state);
        }
        let claimed = self.claim_parked_refund(&mut tx, refund).await?.ok_or(SettleError::NotParked)?;
        let after = match receipt {
            Some(receipt) => {
                self.record_refund(&mut tx, &claimed, receipt).await?;
                "succeeded"
            }
            None => {
                cancel(&mut tx, &claimed).await?;
                "cancelled"
            }
        };
        write_down(&mut tx, &act, decision, ("pending", after)).await?;
        crash_point("payment.settle-refund.before-commit").await;
        tx.commit().await?;
        crash_point("payment.settle-refund.after-commit").await;
        tell(&act, decision, after);
        Ok(after.to_owned())
    }

    /// Makes what is parked of an order due now. It stays parked until it has an outcome.
    ///
    /// # Errors
    /// [`SettleError`].
    pub async fn retry(&self, order: OrderId, decision: &Decision) -> Result<(), SettleError> {
        let act = Act { order, refund: None, action: "retry", outcome: "" };
        let mut tx = chassis::database::begin(&self.pool).await?;
        lock(&mut tx, order).await.map_err(not_found)?;
        if repeated(&mut tx, &act, decision).await?.is_some() {
            return Ok(());
        }
        // Attempts stay above 0: the provider may have seen the call, and is asked first.
        let payments = sqlx::query!(
            "update payment set due_at = case when claim is null then now() else due_at end, attempts = least(attempts, 1)
             where order_id = $1 and parked_at is not null",
            order.as_uuid(),
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        let refunds = sqlx::query!(
            "update refund set due_at = case when claim is null then now() else due_at end, attempts = least(attempts, 1)
             where order_id = $1 and parked_at is not null",
            order.as_uuid(),
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if payments + refunds == 0 {
            return Err(SettleError::NotParked);
        }
        sqlx::query!("select pg_notify($1, '')", WAKE_CHANNEL).execute(&mut *tx).await?;
        write_down(&mut tx, &act, decision, ("parked", "due")).await?;
        crash_point("payment.retry.before-commit").await;
        tx.commit().await?;
        crash_point("payment.retry.after-commit").await;
        tell(&act, decision, "due");
        Ok(())
    }

    async fn claim_parked(
        &self,
        conn: &mut PgConnection,
        order: OrderId,
    ) -> Result<Option<ClaimedPayment>, StoreError> {
        let claim = Claim::generate();
        let row = sqlx::query_as!(
            ClaimedPaymentRow,
            "update payment set claim = $2, attempts = attempts + 1, due_at = now() + $3
             where order_id = $1 and parked_at is not null
             returning order_id, state, amount_minor, currency, card_token, intent_id, commission_basis_points, attempts,
                 traceparent",
            order.as_uuid(),
            claim.as_uuid(),
            self.lease_interval()?,
        )
        .fetch_optional(conn)
        .await?;
        row.map(|row| row.claimed(claim)).transpose()
    }

    async fn claim_parked_refund(
        &self,
        conn: &mut PgConnection,
        refund: RefundId,
    ) -> Result<Option<ClaimedRefund>, StoreError> {
        let claim = Claim::generate();
        let row = sqlx::query_as!(
            ClaimedRefundRow,
            "update refund set claim = $2, attempts = refund.attempts + 1, due_at = now() + $3
             from payment
             where refund_id = $1 and payment.order_id = refund.order_id and refund.parked_at is not null
             returning refund_id, refund.order_id, refund.amount_minor, currency, intent_id, refund.attempts,
                 refund.traceparent",
            refund.as_uuid(),
            claim.as_uuid(),
            self.lease_interval()?,
        )
        .fetch_optional(conn)
        .await?;
        row.map(|row| row.claimed(claim)).transpose()
    }
}

fn not_found(error: StoreError) -> SettleError {
    if matches!(error, StoreError::NotFound) { SettleError::NotFound } else { error.into() }
}

/// Ends a refund unpaid, and gives back what it had reserved.
async fn cancel(conn: &mut PgConnection, claimed: &ClaimedRefund) -> Result<(), StoreError> {
    sqlx::query!(
        "with cancelled as (
             update refund set state = 'cancelled', claim = null, due_at = null, parked_at = null, parked_reason = null,
                 updated_at = now()
             where refund_id = $1
         ), given_back as (
             update payment_share set refunded_minor = refunded_minor - line.amount_minor
             from refund_share line
             where line.refund_id = $1 and payment_share.order_id = $2 and payment_share.seller_id = line.seller_id
         )
         update payment set refunded_minor = refunded_minor - $3, updated_at = now() where order_id = $2",
        claimed.refund.as_uuid(),
        claimed.order.as_uuid(),
        claimed.amount.minor_units(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The state after the same decision, if it was made before.
async fn repeated(conn: &mut PgConnection, act: &Act<'_>, decision: &Decision) -> Result<Option<String>, SettleError> {
    let known = sqlx::query!(
        "select order_id, refund_id, action, outcome, operator, reason, state_after from payment_action where idempotency_key = $1",
        decision.key,
    )
    .fetch_optional(conn)
    .await?;
    let Some(known) = known else { return Ok(None) };
    let is_same = known.order_id == act.order.as_uuid()
        && known.refund_id == act.refund.map(RefundId::as_uuid)
        && (known.action.as_str(), known.outcome.as_str()) == (act.action, act.outcome)
        && (&known.operator, &known.reason) == (&decision.operator, &decision.reason);
    if is_same { Ok(Some(known.state_after)) } else { Err(SettleError::KeyReused) }
}

async fn write_down(
    conn: &mut PgConnection,
    act: &Act<'_>,
    decision: &Decision,
    (before, after): (&str, &str),
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into payment_action (action_id, idempotency_key, order_id, refund_id, action, outcome, operator, reason,
             state_before, state_after)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        Uuid::now_v7(),
        decision.key,
        act.order.as_uuid(),
        act.refund.map(RefundId::as_uuid),
        act.action,
        act.outcome,
        decision.operator,
        decision.reason,
        before,
        after,
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn tell(act: &Act<'_>, decision: &Decision, after: &str) {
    let (order, action, operator, reason) = (act.order, act.action, &decision.operator, &decision.reason);
    tracing::info!(%order, action, operator, reason, after, "an operator decided");
}
