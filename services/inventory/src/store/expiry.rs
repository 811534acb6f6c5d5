//! Reservations whose time is up.

use std::time::Duration;

use ids::OrderId;
use sqlx::PgExecutor;

use super::StoreError;

/// Claims up to `limit` open reservations that expired, oldest first, by moving their time-out to `ask_again_in` from now. All times are
/// the database's.
///
/// The claim is the new time-out itself: nothing is held while the order service is asked, two workers do not ask about the
/// same order, and what a dead worker claimed comes up again by itself.
///
/// # Errors
/// [`StoreError`].
pub async fn claim_expired(
    database: impl PgExecutor<'_>,
    ask_again_in: Duration,
    limit: i64,
) -> Result<Vec<OrderId>, StoreError> {
    sabotage::crash_point("inventory.claim-expired.before-commit").await;
    let claimed = sqlx::query_scalar!(
        r#"
        with due as (
            select order_id from reservation
            where state = 'reserved' and expires_at <= now()
            order by expires_at
            limit $2
            for update skip locked
        )
        update reservation set expires_at = now() + make_interval(secs => $1)
        from due
        where reservation.order_id = due.order_id
        returning reservation.order_id
        "#,
        ask_again_in.as_secs_f64(),
        limit,
    )
    .fetch_all(database)
    .await?;
    sabotage::crash_point("inventory.claim-expired.after-commit").await;
    Ok(claimed.into_iter().map(OrderId::from_uuid).collect())
}
