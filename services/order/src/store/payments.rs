//! What payment's events change here. Each function is one statement, run in the transaction of the consumer's inbox row.

use ids::{OrderId, RefundId};
use money::Money;
use sqlx::PgConnection;

use super::refunds::mark_refunded;

/// Notes that an order's money came in: all of it, or what the provider took, which payment looks after. False when there is no such
/// order, or it cost less or in another currency.
pub(crate) async fn mark_captured(conn: &mut PgConnection, id: OrderId, amount: Money) -> Result<bool, sqlx::Error> {
    let currency = amount.currency();
    let updated = sqlx::query!(
        "update customer_order set captured = true
         where order_id = $1 and $2::bigint between 1 and total_minor and currency = $3",
        id.as_uuid(),
        amount.minor_units(),
        currency.code(),
    )
    .execute(conn)
    .await?;
    Ok(updated.rows_affected() > 0)
}

/// Notes that a return was paid back: all that it is worth, or as much as came in. False when there is no such return, or it is worth
/// less.
pub(crate) async fn mark_paid_back(conn: &mut PgConnection, id: RefundId, amount: Money) -> Result<bool, sqlx::Error> {
    Ok(mark_refunded(conn, id, None, amount.minor_units()).await?.is_some())
}
