//! Reservations whose time is up.

use chrono::{DateTime, Utc};
use ids::OrderId;
use sqlx::PgExecutor;

use super::StoreError;

/// Claims up to `limit` open reservations that expired by `now`, oldest first, by moving their time-out to `ask_again_at`.
///
/// The claim is the new time-out itself: nothing is held while the order service is asked, two workers do not ask about the
/// same order, and what a dead worker claimed comes up again by itself.
///
/// # Errors
/// [`StoreError`].
pub async fn claim_expired(
    database: impl PgExecutor<'_>,
    now: DateTime<Utc>,
    ask_again_at: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<OrderId>, StoreError> {
    sabotage::crash_point("inventory.claim-expired.before-commit").await;
    let claimed = sqlx::query_scalar!(
        r#"
        with due as (
            select order_id from reservation
            where state = 'reserved' and expires_at <= $1
            order by expires_at
            limit $3
            for update skip locked
        )
        update reservation set expires_at = $2
        from due
        where reservation.order_id = due.order_id
        returning reservation.order_id
        "#,
        now,
        ask_again_at,
        limit,
    )
    .fetch_all(database)
    .await?;
    sabotage::crash_point("inventory.claim-expired.after-commit").await;
    Ok(claimed.into_iter().map(OrderId::from_uuid).collect())
}
