//! Entries into the ledger. The database checks again that they balance, and that a capture and a refund post once.

use ids::{OrderId, RefundId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::ledger::Entry;

/// What an entry books.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Capture(OrderId),
    Refund(OrderId, RefundId),
}

/// Writes an entry with all its postings in one statement, which is what lets the database check the balance there and then.
/// The accounts exist: those of the sellers since the payment began.
///
/// # Errors
/// Those of the statement, among them the unique keys `journal_entry_one_capture` and `journal_entry_one_per_refund`.
pub(super) async fn insert(conn: &mut PgConnection, source: Source, entry: &Entry) -> Result<(), sqlx::Error> {
    let (kind, order, refund) = match source {
        Source::Capture(order) => ("capture", order, None),
        Source::Refund(order, refund) => ("refund", order, Some(refund.as_uuid())),
    };
    let (accounts, amounts): (Vec<_>, Vec<_>) =
        entry.postings().iter().map(|posting| (posting.account.to_string(), posting.amount_minor)).unzip();
    let currency = entry.currency();
    sqlx::query!(
        "with entry as (
             insert into journal_entry (entry_id, kind, order_id, refund_id, currency)
             values ($1, $2, $3, $4, $5)
             returning entry_id, currency
         )
         insert into posting (entry_id, account_id, amount_minor, currency)
         select entry_id, account_id, amount_minor, currency
         from entry, unnest($6::text[], $7::bigint[]) as side (account_id, amount_minor)",
        Uuid::now_v7(),
        kind,
        order.as_uuid(),
        refund,
        currency.code(),
        &accounts,
        &amounts,
    )
    .execute(conn)
    .await?;
    Ok(())
}
