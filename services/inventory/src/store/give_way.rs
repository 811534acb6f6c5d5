//! How long work that nobody waits for waits for others.

use sqlx::PgConnection;

use super::StoreError;

/// Who holds a row keeps it for one statement and one commit, a few milliseconds, or for as long as somebody forgot about it. Longer than
/// the first, and short enough that a batch of 32 whose every row is held is through within its claim, calls included.
const LOCK_WAIT: &str = "set local lock_timeout = '150ms'";

/// For the rest of the caller's transaction: a row that somebody holds is given up soon, as [`StoreError::Conflict`].
///
/// # Errors
/// [`StoreError`].
pub async fn give_way(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query(LOCK_WAIT).execute(conn).await?;
    Ok(())
}
