//! Payments, refunds and the ledger, as `payment` stores them.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use ids::{OrderId, RefundId};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row as _};
use uuid::Uuid;

use super::unpublished::{self, Unpublished};

/// A region's payments.
#[derive(Clone, Debug, Default)]
pub struct Payments {
    pub payments: BTreeMap<OrderId, Payment>,
    pub refunds: BTreeMap<RefundId, Refund>,
    pub entries: BTreeMap<Uuid, Entry>,
    pub unpublished: Vec<Unpublished>,
}

/// The payment of an order.
#[derive(Clone, Debug)]
pub struct Payment {
    pub state: PaymentState,
    /// `None` in a tombstone, as is the currency.
    pub amount_minor: Option<i64>,
    pub currency: Option<String>,
    pub intent: Option<String>,
    /// Of refunds that succeeded or were accepted to be made.
    pub refunded_minor: i64,
    /// Of the amount, what the provider did not take when it captured.
    pub short_minor: i64,
    /// Sum of the sellers' shares.
    pub shares_minor: i64,
}

/// Where a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum PaymentState {
    Authorising,
    Abandoning,
    Authorised,
    Declined,
    Capturing,
    Captured,
    Uncollected,
    Voiding,
    Voided,
}

impl PaymentState {
    /// Whether the provider is still to be called or asked.
    pub const fn is_in_flight(self) -> bool {
        matches!(self, Self::Authorising | Self::Abandoning | Self::Capturing | Self::Voiding)
    }
}

/// A refund.
#[derive(Clone, Debug)]
pub struct Refund {
    pub order: OrderId,
    pub state: RefundState,
    /// What it pays back.
    pub amount_minor: i64,
    /// What was asked for besides, and never came in.
    pub unpaid_minor: i64,
    /// The provider's id of it.
    pub receipt: Option<String>,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum RefundState {
    Pending,
    Succeeded,
    Cancelled,
}

/// An entry of the journal.
#[derive(Clone, Debug)]
pub struct Entry {
    pub order: OrderId,
    /// What it books: this refund, or else the order's capture.
    pub refund: Option<RefundId>,
    pub currency: String,
    pub postings: Vec<Posting>,
}

/// A posting: debit positive, credit negative.
#[derive(Clone, Debug)]
pub struct Posting {
    /// Whether it is what the provider owes us.
    pub is_psp_receivable: bool,
    pub amount_minor: i64,
    pub currency: String,
}

impl Refund {
    /// What the provider paid back, if it has.
    pub fn paid_minor(&self) -> Option<i64> {
        (self.state == RefundState::Succeeded && self.amount_minor > 0).then_some(self.amount_minor)
    }
}

impl Payment {
    /// What came in, or is to.
    pub fn captured_minor(&self) -> Option<i64> {
        self.amount_minor.map(|amount| amount - self.short_minor)
    }
}

impl FromRow<'_, PgRow> for Payment {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            state: row.try_get("state")?,
            amount_minor: row.try_get("amount_minor")?,
            currency: row.try_get("currency")?,
            intent: row.try_get("intent_id")?,
            refunded_minor: row.try_get("refunded_minor")?,
            short_minor: row.try_get("short_minor")?,
            shares_minor: row.try_get("shares_minor")?,
        })
    }
}

impl Payments {
    /// Reads them all. No card token is fetched.
    ///
    /// # Errors
    /// What the server said, or a state that is not known here.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let unpublished = unpublished::read(conn).await?;
        let mut payments = BTreeMap::new();
        let mut rows = sqlx::query(
            "select order_id, state, amount_minor, currency, intent_id, refunded_minor, short_minor,
                    coalesce(share.total_minor, 0)::bigint as shares_minor
             from payment
             left join (select order_id, sum(amount_minor) as total_minor from payment_share group by order_id) as share
                 using (order_id)",
        )
        .fetch(&mut *conn);
        while let Some(row) = rows.try_next().await? {
            payments.insert(OrderId::from_uuid(row.try_get("order_id")?), Payment::from_row(&row)?);
        }
        drop(rows);
        let refunds = read_refunds(conn).await?;
        let entries = read_entries(conn).await?;
        Ok(Self { payments, refunds, entries, unpublished })
    }
}

async fn read_refunds(conn: &mut PgConnection) -> Result<BTreeMap<RefundId, Refund>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid, RefundState, i64, i64, Option<String>)> =
        sqlx::query_as("select refund_id, order_id, state, amount_minor, unpaid_minor, provider_refund_id from refund")
            .fetch_all(conn)
            .await?;
    let refund = |(id, order, state, amount_minor, unpaid_minor, receipt)| {
        let order = OrderId::from_uuid(order);
        (RefundId::from_uuid(id), Refund { order, state, amount_minor, unpaid_minor, receipt })
    };
    Ok(rows.into_iter().map(refund).collect())
}

async fn read_entries(conn: &mut PgConnection) -> Result<BTreeMap<Uuid, Entry>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid, Option<Uuid>, String)> =
        sqlx::query_as("select entry_id, order_id, refund_id, currency from journal_entry")
            .fetch_all(&mut *conn)
            .await?;
    let entry = |(id, order, refund, currency): (Uuid, Uuid, Option<Uuid>, String)| {
        let (order, refund) = (OrderId::from_uuid(order), refund.map(RefundId::from_uuid));
        (id, Entry { order, refund, currency, postings: Vec::new() })
    };
    let mut entries: BTreeMap<_, _> = rows.into_iter().map(entry).collect();
    // A foreign key says that every posting has its entry.
    let mut rows = sqlx::query_as::<_, (Uuid, bool, i64, String)>(
        "select entry_id, account_id = 'psp_receivable', amount_minor, currency from posting",
    )
    .fetch(conn);
    while let Some((id, is_psp_receivable, amount_minor, currency)) = rows.try_next().await? {
        if let Some(entry) = entries.get_mut(&id) {
            entry.postings.push(Posting { is_psp_receivable, amount_minor, currency });
        }
    }
    Ok(entries)
}
