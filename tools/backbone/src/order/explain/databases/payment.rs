//! The payment, its refunds, and the postings of both.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// A payment, or the tombstone of one.
#[derive(Clone, Debug, FromRow)]
pub struct Payment {
    pub state: String,
    /// None in a tombstone, as is the currency.
    pub amount_minor: Option<i64>,
    pub currency: Option<String>,
    pub intent_id: Option<String>,
    pub decline_code: Option<String>,
    /// Claims taken for the present step.
    pub attempts: i32,
    /// When it is taken up again; none when nothing is left to do.
    pub due_at: Option<DateTime<Utc>>,
    pub traceparent: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A refund.
#[derive(Clone, Debug, FromRow)]
pub struct Refund {
    pub refund_id: Uuid,
    pub state: String,
    pub amount_minor: i64,
    pub provider_refund_id: Option<String>,
    pub attempts: i32,
    pub due_at: Option<DateTime<Utc>>,
    pub traceparent: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// An entry of the journal with its postings.
#[derive(Clone, Debug, FromRow)]
pub struct Entry {
    pub kind: String,
    pub currency: String,
    pub posted_at: DateTime<Utc>,
    pub accounts: Vec<String>,
    pub amounts: Vec<i64>,
}

/// A webhook of the provider that was acted upon.
#[derive(Clone, Debug, FromRow)]
pub struct Webhook {
    pub event_id: String,
    pub received_at: DateTime<Utc>,
}

/// What there is of an order's payment.
#[derive(Debug, Default)]
pub struct Payments {
    pub payment: Option<Payment>,
    pub refunds: Vec<Refund>,
    pub entries: Vec<Entry>,
}

/// The payment of an order with all that belongs to it.
///
/// # Errors
/// What the server said.
pub async fn read(conn: &mut PgConnection, order: Uuid) -> Result<Payments, sqlx::Error> {
    let payment = sqlx::query_as(
        "select state, amount_minor, currency, intent_id, decline_code, attempts, due_at, traceparent, created_at, updated_at
         from payment where order_id = $1",
    )
    .bind(order)
    .fetch_optional(&mut *conn)
    .await?;
    let refunds = sqlx::query_as(
        "select refund_id, state, amount_minor, provider_refund_id, attempts, due_at, traceparent, created_at, updated_at
         from refund where order_id = $1 order by created_at",
    )
    .bind(order)
    .fetch_all(&mut *conn)
    .await?;
    // By kind and refund, as the unique indexes of the journal have it: it has none on the order alone.
    let entries = sqlx::query_as(
        "select kind, entry.currency, posted_at,
                array_agg(account_id order by account_id) as accounts,
                array_agg(posting.amount_minor order by account_id) as amounts
         from journal_entry as entry join posting using (entry_id)
         where (kind = 'capture' and order_id = $1)
            or (kind = 'refund' and entry.refund_id in (select refund_id from refund where order_id = $1))
         group by entry_id, kind, entry.currency, posted_at
         order by posted_at",
    )
    .bind(order)
    .fetch_all(conn)
    .await?;
    Ok(Payments { payment, refunds, entries })
}

/// Which of these webhooks were acted upon.
///
/// # Errors
/// What the server said.
pub async fn webhooks(conn: &mut PgConnection, events: &[String]) -> Result<Vec<Webhook>, sqlx::Error> {
    sqlx::query_as("select event_id, received_at from webhook_event where event_id = any($1)")
        .bind(events)
        .fetch_all(conn)
        .await
}
