//! Our books as the reconciliation reads them, and the differences that it found.

use std::collections::HashMap;
use std::time::Duration;

use ids::{OrderId, RefundId};
use sabotage::crash_point;
use uuid::Uuid;

use super::payment::money;
use super::{Store, StoreError, interval};
use crate::domain::{IntentId, State};
use crate::psp::Span;
use crate::reconcile::{About, Difference, Kind, OurPayment, OurRefund};

/// A row of our books, and whether it changed so recently that the provider's books may be read from before or after.
#[derive(Clone, Debug)]
pub struct Booked<T> {
    /// The row.
    pub row: T,
    /// It is left out of this comparison.
    pub is_fresh: bool,
}

/// A difference that has not been resolved.
#[derive(Clone, Debug)]
pub struct OpenDifference {
    /// Its row.
    pub id: Uuid,
    /// What it is.
    pub difference: Difference,
    /// For how long it has been known, in whole seconds.
    pub age: Duration,
}

struct DifferenceRow {
    difference_id: Uuid,
    about: String,
    kind: String,
    subject: String,
    reference: String,
    here: String,
    there: String,
    age_s: i64,
}

impl TryFrom<DifferenceRow> for OpenDifference {
    type Error = StoreError;

    fn try_from(row: DifferenceRow) -> Result<Self, StoreError> {
        const CORRUPT: StoreError = StoreError::Corrupt { what: "difference" };
        let difference = Difference {
            about: About::from_name(&row.about).ok_or(CORRUPT)?,
            kind: Kind::from_name(&row.kind).ok_or(CORRUPT)?,
            subject: row.subject.into(),
            reference: row.reference.into(),
            here: row.here,
            there: row.there,
        };
        let age = Duration::from_secs(u64::try_from(row.age_s).unwrap_or_default());
        Ok(Self { id: row.difference_id, difference, age })
    }
}

struct PaymentBooksRow {
    order_id: Uuid,
    state: String,
    amount_minor: Option<i64>,
    currency: Option<String>,
    intent_id: Option<String>,
    decline_code: Option<String>,
    short_minor: i64,
    booked_minor: Option<i64>,
    is_fresh: bool,
}

impl TryFrom<PaymentBooksRow> for Booked<OurPayment> {
    type Error = StoreError;

    fn try_from(row: PaymentBooksRow) -> Result<Self, StoreError> {
        let state = State::from_parts(&row.state, row.intent_id.as_deref(), row.decline_code.as_deref());
        let amount = row.amount_minor.zip(row.currency).map(|(amount_minor, currency)| money(amount_minor, &currency));
        let ours = OurPayment {
            order: OrderId::from_uuid(row.order_id),
            state: state.ok_or(StoreError::Corrupt { what: "payment state" })?,
            intent: row.intent_id.as_deref().map(IntentId::new),
            amount: amount.transpose()?,
            short_minor: row.short_minor,
            booked_minor: row.booked_minor,
        };
        Ok(Self { row: ours, is_fresh: row.is_fresh })
    }
}

struct RefundBooksRow {
    refund_id: Uuid,
    intent_id: Option<String>,
    provider_refund_id: Option<String>,
    amount_minor: i64,
    booked_minor: Option<i64>,
    is_fresh: bool,
}

impl From<RefundBooksRow> for Booked<OurRefund> {
    fn from(row: RefundBooksRow) -> Self {
        let ours = OurRefund {
            refund: RefundId::from_uuid(row.refund_id),
            intent: row.intent_id.as_deref().map(IntentId::new),
            receipt: row.provider_refund_id.map(Into::into),
            amount_minor: row.amount_minor,
            booked_minor: row.booked_minor,
        };
        Self { row: ours, is_fresh: row.is_fresh }
    }
}

impl Store {
    /// The payments of these orders, as far as there are any. Fresh is what changed less than `grace` ago.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn booked_payments(
        &self,
        orders: &[Uuid],
        grace: Duration,
    ) -> Result<HashMap<OrderId, Booked<OurPayment>>, StoreError> {
        let rows = sqlx::query_as!(
            PaymentBooksRow,
            r#"select order_id, state, amount_minor, currency, intent_id, decline_code, short_minor,
                   (select sum(posting.amount_minor)::bigint from journal_entry join posting using (entry_id)
                    where journal_entry.order_id = payment.order_id and kind = 'capture'
                        and account_id = 'psp_receivable') as booked_minor,
                   updated_at > now() - $2::interval as "is_fresh!"
               from payment where order_id = any($1)"#,
            orders,
            interval(grace)?,
        )
        .fetch_all(&self.pool)
        .await?;
        let row = |row: PaymentBooksRow| Ok((OrderId::from_uuid(row.order_id), row.try_into()?));
        rows.into_iter().map(row).collect()
    }

    /// These refunds, as far as there are any.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn booked_refunds(
        &self,
        refunds: &[Uuid],
        grace: Duration,
    ) -> Result<HashMap<RefundId, Booked<OurRefund>>, StoreError> {
        let rows = sqlx::query_as!(
            RefundBooksRow,
            r#"select refund_id, payment.intent_id, provider_refund_id, refund.amount_minor,
                   (select -sum(posting.amount_minor)::bigint from journal_entry join posting using (entry_id)
                    where journal_entry.refund_id = refund.refund_id and kind = 'refund'
                        and account_id = 'psp_receivable') as booked_minor,
                   refund.updated_at > now() - $2::interval as "is_fresh!"
               from refund join payment using (order_id) where refund_id = any($1)"#,
            refunds,
            interval(grace)?,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (RefundId::from_uuid(row.refund_id), row.into())).collect())
    }

    /// The orders of a span whose money we count on at the provider, in the order of their ids, after `after`: up to `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn orders_counted_on(
        &self,
        span: Span,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<(Uuid, String)>, StoreError> {
        let rows = sqlx::query!(
            r#"select order_id, intent_id as "intent_id!" from payment
               where created_at >= to_timestamp($1::bigint) and created_at < to_timestamp($2::bigint) and order_id > $3
                   and state in ('authorised', 'capturing', 'captured', 'voiding')
               order by order_id limit $4"#,
            span.from,
            span.to,
            after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.order_id, row.intent_id)).collect())
    }

    /// The refunds of a span that we count as paid, in the order of their ids, after `after`: up to `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn refunds_counted_on(
        &self,
        span: Span,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<(Uuid, String)>, StoreError> {
        let rows = sqlx::query!(
            r#"select refund_id, provider_refund_id as "receipt!" from refund
               where created_at >= to_timestamp($1::bigint) and created_at < to_timestamp($2::bigint) and refund_id > $3
                   and state = 'succeeded'
               order by refund_id limit $4"#,
            span.from,
            span.to,
            after,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|row| (row.refund_id, row.receipt)).collect())
    }

    /// Writes a difference down, or that it was seen once more; who accepted it accepted it as it was. Returns whether it is new.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_difference(&self, difference: &Difference) -> Result<bool, StoreError> {
        crash_point("payment.note-difference.before-commit").await;
        let is_new = sqlx::query_scalar!(
            r#"insert into reconciliation_difference (difference_id, about, kind, subject, reference, here, there)
               values ($1, $2, $3, $4, $5, $6, $7)
               on conflict (about, kind, subject) where resolved_at is null
               do update set last_seen_at = now(), here = excluded.here, there = excluded.there,
                   settled_at = case when (reconciliation_difference.here, reconciliation_difference.there)
                       = (excluded.here, excluded.there) then reconciliation_difference.settled_at end,
                   settled_by = case when (reconciliation_difference.here, reconciliation_difference.there)
                       = (excluded.here, excluded.there) then reconciliation_difference.settled_by end,
                   settled_reason = case when (reconciliation_difference.here, reconciliation_difference.there)
                       = (excluded.here, excluded.there) then reconciliation_difference.settled_reason end
               returning (xmax = 0) as "is_new!""#,
            Uuid::now_v7(),
            difference.about.name(),
            difference.kind.name(),
            &difference.subject,
            &difference.reference,
            difference.here,
            difference.there,
        )
        .fetch_one(&self.pool)
        .await?;
        crash_point("payment.note-difference.after-commit").await;
        Ok(is_new)
    }

    /// The differences that are neither resolved nor accepted as they are, the oldest first: up to `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn open_differences(&self, limit: i64) -> Result<Vec<OpenDifference>, StoreError> {
        let rows = sqlx::query_as!(
            DifferenceRow,
            r#"select difference_id, about, kind, subject, reference, here, there,
                   extract(epoch from now() - first_seen_at)::bigint as "age_s!"
               from reconciliation_difference where resolved_at is null and settled_at is null
               order by first_seen_at, difference_id limit $1"#,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// The differences that are not resolved, those first that were not seen for longest, so that none starves behind others
    /// that stay: up to `limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::Corrupt`].
    pub async fn longest_unseen_differences(&self, limit: i64) -> Result<Vec<OpenDifference>, StoreError> {
        let rows = sqlx::query_as!(
            DifferenceRow,
            r#"select difference_id, about, kind, subject, reference, here, there,
                   extract(epoch from now() - first_seen_at)::bigint as "age_s!"
               from reconciliation_difference where resolved_at is null
               order by last_seen_at, difference_id limit $1"#,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter().map(TryInto::try_into).collect()
    }

    /// Notes that the books agree again.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn resolve_difference(&self, difference: Uuid) -> Result<(), StoreError> {
        crash_point("payment.resolve-difference.before-commit").await;
        sqlx::query!(
            "update reconciliation_difference set resolved_at = now() where difference_id = $1 and resolved_at is null",
            difference,
        )
        .execute(&self.pool)
        .await?;
        crash_point("payment.resolve-difference.after-commit").await;
        Ok(())
    }
}
