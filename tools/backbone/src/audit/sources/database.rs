//! One snapshot of one database.

use std::time::Duration;

use ids::Region;
use sqlx::{Connection as _, PgConnection};

use super::{Read, Unreadable};
use crate::platform::{Layout, secrets};

/// A local server answers at once or is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// For all statements of a snapshot. A month of orders takes a second.
const READ_WITHIN: Duration = Duration::from_secs(120);

/// Runs `read` in one snapshot of a region's database, as superuser: its statements see one moment and can change nothing.
///
/// # Errors
/// [`Unreadable`].
pub async fn snapshot<T>(
    layout: &Layout,
    region: Region,
    database: &str,
    read: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Read<T> {
    let store = || format!("the {region} {database} database");
    let url = secrets::superuser_url(layout, region, database).map_err(|error| Unreadable::new(store(), error))?;
    let connected = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect(&url)).await;
    let mut connection = connected
        .map_err(|_| Unreadable::new(store(), "no connection in time"))?
        .map_err(|error| Unreadable::new(store(), error))?;
    let work = async {
        let mut transaction = connection.begin_with("begin isolation level repeatable read read only").await?;
        let value = read(&mut transaction).await?;
        transaction.rollback().await?;
        Ok::<_, sqlx::Error>(value)
    };
    match tokio::time::timeout(READ_WITHIN, work).await {
        Ok(value) => value.map_err(|error| Unreadable::new(store(), error)),
        Err(_) => Err(Unreadable::new(store(), format!("not done after {READ_WITHIN:?}"))),
    }
}
