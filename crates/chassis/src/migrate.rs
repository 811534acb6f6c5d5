//! Applies migrations of several sources (the outbox's and the service's own) as one history.

use std::collections::BTreeMap;

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migration, Migrator};

/// Why the database was not migrated. It is left at the last migration that succeeded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two sources use the same number, so their order would be a matter of luck.
    #[error("migrations \"{first}\" and \"{second}\" share version {version}")]
    SharedVersion {
        /// The number.
        version: i64,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A migration failed, or one that was applied has changed since.
    #[error("migration failed")]
    Migrate(#[from] MigrateError),
}

/// Applies what is missing of all `sources`, in the order of their versions. Running it twice is harmless; running it in
/// two processes at once too, as Postgres' advisory lock makes one wait.
///
/// # Errors
/// [`Error`].
pub async fn run(pool: &PgPool, sources: &[&Migrator]) -> Result<(), Error> {
    let migrations = merge(sources)?;
    let count = migrations.len();
    Migrator::with_migrations(migrations).run(pool).await?;
    tracing::info!(migrations = count, "database is up to date");
    Ok(())
}

fn merge(sources: &[&Migrator]) -> Result<Vec<Migration>, Error> {
    let mut merged: BTreeMap<i64, Migration> = BTreeMap::new();
    for migration in sources.iter().flat_map(|source| source.iter()) {
        if let Some(other) = merged.insert(migration.version, migration.clone()) {
            return Err(Error::SharedVersion {
                version: migration.version,
                first: other.description.into_owned(),
                second: migration.description.to_string(),
            });
        }
    }
    Ok(merged.into_values().collect())
}

#[cfg(test)]
mod tests {
    use sqlx::SqlSafeStr as _;
    use sqlx::migrate::MigrationType;

    use super::*;

    fn source(versions: &[i64]) -> Migrator {
        let migration = |version: &i64| {
            let description = format!("number {version}").into();
            Migration::new(*version, description, MigrationType::Simple, "select 1".into_sql_str(), false)
        };
        Migrator::with_migrations(versions.iter().map(migration).collect())
    }

    #[test]
    fn sources_are_applied_in_the_order_of_their_versions() {
        let merged = merge(&[&source(&[101, 102]), &source(&[1])]).unwrap_or_default();
        assert_eq!(merged.iter().map(|migration| migration.version).collect::<Vec<_>>(), [1, 101, 102]);
    }

    #[test]
    fn a_shared_version_is_refused() {
        let merged = merge(&[&source(&[1]), &source(&[1])]);
        assert!(matches!(merged, Err(Error::SharedVersion { version: 1, .. })));
    }
}
