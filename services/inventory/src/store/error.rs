//! What can go wrong in the database, told apart by what the caller should do next.

/// A statement failed; its transaction has no effect.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A guard was missing or wrong, and the constraint behind it stopped the sale. A bug: nothing was sold.
    #[error("constraint {constraint} stopped stock from falling below zero")]
    BelowZero {
        /// The constraint's name.
        constraint: String,
    },
    /// Another transaction was in the way: the database ended this one to resolve it, or what it had looked at changed before
    /// it could act. Safe to repeat.
    #[error("another transaction was in the way")]
    Conflict(#[source] Option<sqlx::Error>),
    /// The row holds a value this program does not know, such as one written by a newer version.
    #[error("{column} holds the unknown value {value}")]
    UnknownValue {
        /// Table and column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
    /// Anything else: connection lost, pool exhausted, statement refused.
    #[error("the inventory database failed")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether it would be the same with any other row: the database is away. Everything else is about the rows that were asked for.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Database(error) => chassis::database::is_away(error),
            Self::BelowZero { .. } | Self::Conflict(_) | Self::UnknownValue { .. } => false,
        }
    }
}

/// SQLSTATE of `serialization_failure`, `deadlock_detected` and `lock_not_available` (the lock time-out of the
/// consumer and of workers).
const CONFLICTS: [&str; 3] = ["40001", "40P01", "55P03"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let Some(database) = error.as_database_error() else { return Self::Database(error) };
        if let Some(constraint) = database.constraint()
            && constraint.starts_with("stock_")
            && constraint.ends_with("_not_negative")
        {
            return Self::BelowZero { constraint: constraint.to_owned() };
        }
        if database.code().is_some_and(|code| CONFLICTS.contains(&code.as_ref())) {
            return Self::Conflict(Some(error));
        }
        Self::Database(error)
    }
}
