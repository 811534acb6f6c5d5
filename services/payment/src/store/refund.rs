//! Reserving a refund.
//!
//! Three guards, outermost first: every reservation of a payment takes the lock on its row; under it the domain decides
//! against what is left of each share; and the checks `payment_refunds_within_capture` and
//! `payment_share_refunds_within_share` refuse what should have slipped through. What is reserved counts as paid from then
//! on, so a refund that is still on its way cannot be overtaken by another.

use chassis::trace_context::current_traceparent;
use ids::{OrderId, RefundId};
use sabotage::crash_point;
use sqlx::PgConnection;
use uuid::Uuid;

use super::claim::{Claim, ClaimedRefund};
use super::payment::{Payment, PaymentRow, money};
use super::{Store, StoreError};
use crate::domain::refund::{RefundLine, ShareBalance, reserve};
use crate::domain::{IntentId, Shares, TermsDigest};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RefundRequest {
    /// Its id, the idempotency key.
    pub refund: RefundId,
    /// Whose payment.
    pub order: OrderId,
    /// How much of each seller's share.
    pub shares: Shares,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// Accepted; the provider has not confirmed it yet.
    Pending,
    /// Paid back, as far as it came in.
    Succeeded,
    /// A person found that it is not to be paid through the provider.
    Cancelled,
}

/// What became of the wish to refund.
#[derive(Debug)]
pub enum Reserved {
    /// The refund is durable and ours to drive; the payment after it.
    New(ClaimedRefund, Payment),
    /// It was accepted before, or there is nothing to pay: where it stands, what it pays back, and the payment now.
    Exists(RefundState, i64, Payment),
}

impl Store {
    /// Accepts a refund and claims it, or finds that it was accepted before: one commit. Must be committed before the
    /// provider is called.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::RefundRejected`], [`StoreError::RefundIdReused`]: nothing was reserved.
    pub async fn reserve_refund(&self, request: &RefundRequest) -> Result<Reserved, StoreError> {
        let mut tx = chassis::database::begin(&self.pool).await?;
        self.guard(&mut tx, request.order).await?;
        let payment = read(&mut tx, request.order).await?;
        let digest = TermsDigest::of_refund(request.order, &request.shares);
        if let Some((state, paid_minor)) = existing(&mut tx, request.refund, &digest).await? {
            return Ok(Reserved::Exists(state, paid_minor, payment.payment));
        }
        let balances = balances(&mut tx, request.order).await?;
        let lines = reserve(&payment.payment.state, &balances, payment.commission_basis_points, &request.shares)?;
        #[cfg(test)]
        if let Some(all_decided) = &self.unguarded_refunds {
            // Those that come after the rush wait for nobody.
            let _ = tokio::time::timeout(std::time::Duration::from_secs(3), all_decided.wait()).await;
        }
        let paid_minor = lines.iter().map(|line| line.amount_minor).sum();
        let claimed = self.insert(&mut tx, request, &payment, &digest, paid_minor).await?;
        insert_lines(&mut tx, request, &lines, paid_minor).await?;
        crash_point("payment.reserve-refund.before-commit").await;
        tx.commit().await.map_err(guarded)?;
        crash_point("payment.reserve-refund.after-commit").await;
        let unpaid_minor = request.shares.total_minor() - paid_minor;
        if unpaid_minor > 0 {
            let (order, refund) = (request.order, request.refund);
            tracing::warn!(%order, %refund, paid_minor, unpaid_minor, "less came in than is to be paid back; what came in is");
        }
        let payment = Payment { refunded_minor: payment.payment.refunded_minor + paid_minor, ..payment.payment };
        Ok(match claimed {
            Some(claimed) => Reserved::New(claimed, payment),
            None => Reserved::Exists(RefundState::Succeeded, 0, payment),
        })
    }

    async fn insert(
        &self,
        conn: &mut PgConnection,
        request: &RefundRequest,
        payment: &Refundable,
        digest: &TermsDigest,
        paid_minor: i64,
    ) -> Result<Option<ClaimedRefund>, StoreError> {
        let claim = Claim::generate();
        let traceparent = current_traceparent();
        sqlx::query!(
            "insert into refund
                 (refund_id, order_id, state, amount_minor, terms_digest, claim, attempts, due_at, traceparent, unpaid_minor)
             values ($1, $2, case when $3 then 'pending' else 'succeeded' end, $4, $5, case when $3 then $6::uuid end, 1,
                 case when $3 then now() + $7 end, $8, $9)",
            request.refund.as_uuid(),
            request.order.as_uuid(),
            paid_minor > 0,
            paid_minor,
            &digest.0[..],
            claim.as_uuid(),
            self.lease_interval()?,
            traceparent,
            request.shares.total_minor() - paid_minor,
        )
        .execute(conn)
        .await
        .map_err(guarded)?;
        if paid_minor == 0 {
            return Ok(None);
        }
        Ok(Some(ClaimedRefund {
            refund: request.refund,
            order: request.order,
            claim,
            intent: payment.intent.clone(),
            amount: money(paid_minor, &payment.currency)?,
            attempts: 1,
            traceparent,
        }))
    }

    /// Takes the lock that every reservation of a payment takes.
    #[cfg(not(test))]
    async fn guard(&self, conn: &mut PgConnection, order: OrderId) -> Result<(), StoreError> {
        lock(conn, order).await
    }

    /// The same, but for the test that shows what happens without.
    #[cfg(test)]
    async fn guard(&self, conn: &mut PgConnection, order: OrderId) -> Result<(), StoreError> {
        if self.unguarded_refunds.is_some() { Ok(()) } else { lock(conn, order).await }
    }
}

/// A payment as a refund needs it.
struct Refundable {
    payment: Payment,
    intent: IntentId,
    currency: String,
    commission_basis_points: u16,
}

pub(super) async fn lock(conn: &mut PgConnection, order: OrderId) -> Result<(), StoreError> {
    sqlx::query!("select order_id from payment where order_id = $1 for no key update", order.as_uuid())
        .fetch_optional(conn)
        .await?
        .map(|_| ())
        .ok_or(StoreError::NotFound)
}

/// Reads what refunds are decided by; a statement after the lock, so that it sees what earlier holders committed.
async fn read(conn: &mut PgConnection, order: OrderId) -> Result<Refundable, StoreError> {
    let row = sqlx::query!(
        "select order_id, state, amount_minor, currency, terms_digest, intent_id, decline_code, refunded_minor,
             commission_basis_points
         from payment where order_id = $1",
        order.as_uuid(),
    )
    .fetch_optional(conn)
    .await?
    .ok_or(StoreError::NotFound)?;
    let rate = row.commission_basis_points.unwrap_or_default();
    Ok(Refundable {
        // Empty only where there is nothing captured, which the domain refuses before it is used.
        intent: IntentId::new(row.intent_id.as_deref().unwrap_or_default()),
        currency: row.currency.clone().unwrap_or_default(),
        commission_basis_points: u16::try_from(rate).map_err(|_| StoreError::Corrupt { what: "commission" })?,
        payment: Payment::try_from(PaymentRow {
            order_id: row.order_id,
            state: row.state,
            amount_minor: row.amount_minor,
            currency: row.currency,
            terms_digest: row.terms_digest,
            intent_id: row.intent_id,
            decline_code: row.decline_code,
            refunded_minor: row.refunded_minor,
        })?,
    })
}

async fn existing(
    conn: &mut PgConnection,
    refund: RefundId,
    digest: &TermsDigest,
) -> Result<Option<(RefundState, i64)>, StoreError> {
    let row =
        sqlx::query!("select state, terms_digest, amount_minor from refund where refund_id = $1", refund.as_uuid())
            .fetch_optional(conn)
            .await?;
    let Some(row) = row else { return Ok(None) };
    if row.terms_digest != digest.0 {
        return Err(StoreError::RefundIdReused);
    }
    let state = refund_state(&row.state)?;
    Ok(Some((state, if state == RefundState::Cancelled { 0 } else { row.amount_minor })))
}

fn refund_state(name: &str) -> Result<RefundState, StoreError> {
    match name {
        "pending" => Ok(RefundState::Pending),
        "succeeded" => Ok(RefundState::Succeeded),
        "cancelled" => Ok(RefundState::Cancelled),
        _ => Err(StoreError::Corrupt { what: "refund state" }),
    }
}

async fn balances(conn: &mut PgConnection, order: OrderId) -> Result<Vec<ShareBalance>, StoreError> {
    let rows = sqlx::query!(
        r#"select seller_id, amount_minor - short_minor as "captured_minor!", refunded_minor, short_minor, unpaid_minor
           from payment_share where order_id = $1"#,
        order.as_uuid(),
    )
    .fetch_all(conn)
    .await?;
    let mut balances = Vec::with_capacity(rows.len());
    for row in rows {
        let seller = row.seller_id.parse().map_err(|_| StoreError::Corrupt { what: "seller" })?;
        balances.push(ShareBalance {
            seller,
            amount_minor: row.captured_minor,
            refunded_minor: row.refunded_minor,
            short_minor: row.short_minor,
            unpaid_minor: row.unpaid_minor,
        });
    }
    Ok(balances)
}

/// Takes the refund out of what is left. Added in the database, not set to what we computed, so that the checks see the true
/// sums even if the lock were gone.
async fn insert_lines(
    conn: &mut PgConnection,
    request: &RefundRequest,
    lines: &[RefundLine],
    paid_minor: i64,
) -> Result<(), StoreError> {
    let (sellers, amounts): (Vec<_>, Vec<_>) =
        lines.iter().map(|line| (line.seller.to_string(), line.amount_minor)).unzip();
    let (commissions, unpaid): (Vec<_>, Vec<_>) =
        lines.iter().map(|line| (line.commission_minor, line.unpaid_minor)).unzip();
    sqlx::query!(
        "with line as (
             select seller_id, amount_minor, commission_minor, unpaid_minor
             from unnest($3::text[], $4::bigint[], $5::bigint[], $7::bigint[])
                 as line (seller_id, amount_minor, commission_minor, unpaid_minor)
         ), reserved as (
             update payment_share set refunded_minor = refunded_minor + line.amount_minor,
                 unpaid_minor = payment_share.unpaid_minor + line.unpaid_minor
             from line where payment_share.order_id = $2 and payment_share.seller_id = line.seller_id
         ), counted as (
             update payment set refunded_minor = refunded_minor + $6, updated_at = now() where order_id = $2
         )
         insert into refund_share (refund_id, seller_id, amount_minor, commission_minor)
         select $1, seller_id, amount_minor, commission_minor from line where amount_minor > 0",
        request.refund.as_uuid(),
        request.order.as_uuid() as Uuid,
        &sellers,
        &amounts,
        &commissions,
        paid_minor,
        &unpaid,
    )
    .execute(conn)
    .await
    .map_err(guarded)?;
    Ok(())
}

/// Names what the database itself refused.
fn guarded(error: sqlx::Error) -> StoreError {
    let constraint = error.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
    match constraint {
        Some(constraint) if constraint == "refund_pkey" => StoreError::RefundIdReused,
        Some(constraint) if constraint.contains("refunds_within") => StoreError::RefundExceedsCapture { constraint },
        _ => StoreError::Database(error),
    }
}
