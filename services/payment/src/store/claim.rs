//! Claims: who may drive a row now.
//!
//! A claim is a lease on the row with a random fencing token. It keeps two drivers from calling the provider for one payment
//! at once, which would be harmless (the key is the same) but wasteful; it is the token, checked when the outcome is stored,
//! that makes takeover correct.

use ids::{OrderId, RefundId};
use money::Money;
use sabotage::crash_point;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::payment::money;
use super::{Store, StoreError, interval};
use crate::domain::{CardToken, IntentId, State};

/// A fencing token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim(Uuid);

impl Claim {
    /// A new one, unlike any other.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// For the store.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

/// A payment in flight that is ours to drive.
#[derive(Clone, Debug)]
pub struct ClaimedPayment {
    /// The order it pays.
    pub order: OrderId,
    /// Our claim.
    pub claim: Claim,
    /// Where it stood when it was claimed.
    pub state: State,
    /// The whole amount.
    pub amount: Money,
    /// The card, while the authorisation is in doubt.
    pub card: Option<CardToken>,
    /// The rate fixed when it began.
    pub commission_basis_points: u16,
    /// Claims taken for the present step, this one included; above 1 the provider may have seen the call already.
    pub attempts: u32,
    /// The trace that asked for the step.
    pub traceparent: Option<String>,
}

/// A pending refund that is ours to drive.
#[derive(Clone, Debug)]
pub struct ClaimedRefund {
    /// Its id.
    pub refund: RefundId,
    /// The order it pays back.
    pub order: OrderId,
    /// Our claim.
    pub claim: Claim,
    /// The provider's charge.
    pub intent: IntentId,
    /// What to pay back.
    pub amount: Money,
    /// As in [`ClaimedPayment`].
    pub attempts: u32,
    /// The trace that asked for it.
    pub traceparent: Option<String>,
}

/// A row that is ours to drive.
#[derive(Clone, Debug)]
pub enum Work {
    /// A payment in flight.
    Payment(ClaimedPayment),
    /// A pending refund.
    Refund(ClaimedRefund),
}

pub(super) struct ClaimedPaymentRow {
    pub(super) order_id: Uuid,
    pub(super) state: String,
    pub(super) amount_minor: Option<i64>,
    pub(super) currency: Option<String>,
    pub(super) card_token: Option<String>,
    pub(super) intent_id: Option<String>,
    pub(super) commission_basis_points: Option<i16>,
    pub(super) attempts: i32,
    pub(super) traceparent: Option<String>,
}

impl ClaimedPaymentRow {
    pub(super) fn claimed(self, claim: Claim) -> Result<ClaimedPayment, StoreError> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "payment in flight" };
        let (Some(amount_minor), Some(currency), Some(rate)) =
            (self.amount_minor, self.currency, self.commission_basis_points)
        else {
            return Err(CORRUPT);
        };
        Ok(ClaimedPayment {
            order: OrderId::from_uuid(self.order_id),
            claim,
            state: State::from_parts(&self.state, self.intent_id.as_deref(), None).ok_or(CORRUPT)?,
            amount: money(amount_minor, &currency)?,
            card: self.card_token.map(|token| CardToken::new(&token)).transpose().map_err(|_| CORRUPT)?,
            commission_basis_points: u16::try_from(rate).map_err(|_| CORRUPT)?,
            attempts: u32::try_from(self.attempts).map_err(|_| CORRUPT)?,
            traceparent: self.traceparent,
        })
    }
}

pub(super) struct ClaimedRefundRow {
    pub(super) refund_id: Uuid,
    pub(super) order_id: Uuid,
    pub(super) amount_minor: i64,
    pub(super) currency: Option<String>,
    pub(super) intent_id: Option<String>,
    pub(super) attempts: i32,
    pub(super) traceparent: Option<String>,
}

impl ClaimedRefundRow {
    pub(super) fn claimed(self, claim: Claim) -> Result<ClaimedRefund, StoreError> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "pending refund" };
        let (Some(currency), Some(intent)) = (self.currency, self.intent_id) else { return Err(CORRUPT) };
        Ok(ClaimedRefund {
            refund: RefundId::from_uuid(self.refund_id),
            order: OrderId::from_uuid(self.order_id),
            claim,
            intent: IntentId::new(&intent),
            amount: money(self.amount_minor, &currency)?,
            attempts: u32::try_from(self.attempts).map_err(|_| CORRUPT)?,
            traceparent: self.traceparent,
        })
    }
}

impl Store {
    pub(super) fn lease_interval(&self) -> Result<PgInterval, StoreError> {
        interval(self.lease)
    }

    /// Claims a payment in flight that nobody drives; `None` when it rests or somebody does. Does not wait for the end of a
    /// backoff: a caller who asks is worth a try now.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn claim_payment(&self, order: OrderId) -> Result<Option<ClaimedPayment>, StoreError> {
        let claim = Claim::generate();
        crash_point("payment.claim.before-commit").await;
        let row = sqlx::query_as!(
            ClaimedPaymentRow,
            "update payment set claim = $2, attempts = attempts + 1, due_at = now() + $3
             where order_id = $1 and due_at is not null and (claim is null or due_at <= now())
             returning order_id, state, amount_minor, currency, card_token, intent_id, commission_basis_points, attempts,
                 traceparent",
            order.as_uuid(),
            claim.as_uuid(),
            self.lease_interval()?,
        )
        .fetch_optional(&self.pool)
        .await?;
        crash_point("payment.claim.after-commit").await;
        row.map(|row| row.claimed(claim)).transpose()
    }

    /// Claims a pending refund that nobody drives, like [`Store::claim_payment`].
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn claim_refund(&self, refund: RefundId) -> Result<Option<ClaimedRefund>, StoreError> {
        let claim = Claim::generate();
        crash_point("payment.claim-refund.before-commit").await;
        let row = sqlx::query_as!(
            ClaimedRefundRow,
            "update refund set claim = $2, attempts = refund.attempts + 1, due_at = now() + $3
             from payment
             where refund_id = $1 and payment.order_id = refund.order_id
                 and refund.due_at is not null and (refund.claim is null or refund.due_at <= now())
             returning refund_id, refund.order_id, refund.amount_minor, currency, intent_id, refund.attempts,
                 refund.traceparent",
            refund.as_uuid(),
            claim.as_uuid(),
            self.lease_interval()?,
        )
        .fetch_optional(&self.pool)
        .await?;
        crash_point("payment.claim-refund.after-commit").await;
        row.map(|row| row.claimed(claim)).transpose()
    }

    /// Claims up to `limit` rows that are due, the longest due first, payments before refunds: one commit, two when there
    /// are both. Rows that another process is claiming right now are passed over.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn claim_due(&self, limit: usize) -> Result<Vec<Work>, StoreError> {
        let claim = Claim::generate();
        let bound = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        crash_point("payment.claim-due.before-commit").await;
        let payments = sqlx::query_as!(
            ClaimedPaymentRow,
            "update payment set claim = $1, attempts = attempts + 1, due_at = now() + $2
             where order_id in (
                 select order_id from payment where due_at <= now() order by due_at limit $3 for no key update skip locked
             )
             returning order_id, state, amount_minor, currency, card_token, intent_id, commission_basis_points, attempts,
                 traceparent",
            claim.as_uuid(),
            self.lease_interval()?,
            bound(limit),
        )
        .fetch_all(&self.pool)
        .await?;
        crash_point("payment.claim-due.after-commit").await;
        let mut work = Vec::with_capacity(limit);
        for row in payments {
            work.push(Work::Payment(row.claimed(claim)?));
        }
        if work.len() == limit {
            return Ok(work);
        }
        crash_point("payment.claim-due-refunds.before-commit").await;
        let refunds = sqlx::query_as!(
            ClaimedRefundRow,
            "update refund set claim = $1, attempts = refund.attempts + 1, due_at = now() + $2
             from payment
             where payment.order_id = refund.order_id and refund_id in (
                 select refund_id from refund where due_at <= now() order by due_at limit $3 for no key update skip locked
             )
             returning refund_id, refund.order_id, refund.amount_minor, currency, intent_id, refund.attempts,
                 refund.traceparent",
            claim.as_uuid(),
            self.lease_interval()?,
            bound(limit - work.len()),
        )
        .fetch_all(&self.pool)
        .await?;
        crash_point("payment.claim-due-refunds.after-commit").await;
        for row in refunds {
            work.push(Work::Refund(row.claimed(claim)?));
        }
        Ok(work)
    }
}
