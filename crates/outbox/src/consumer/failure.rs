//! What kind of failure an error is: the event's, the moment's, or a dependency's.

use std::time::Duration;

use sqlx::PgPool;

use super::handler::HandleError;
use crate::blocked::is_about_others;

/// How long the database may take to show that it is alive.
const PROBE_DEADLINE: Duration = Duration::from_secs(2);

/// A failed transaction, by what follows from it. The texts carry reasons, no payload.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// To the dead letters.
    Poison(String),
    /// Counted, and tried again.
    Retry(String),
    /// Not counted: somebody else holds what the event needs. It waits, others pass.
    Blocked(String),
    /// Not counted: wait until the dependency is back.
    Unavailable(String),
}

/// Why an event is in the dead letters, as its header and the metric's label say it. Stable names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorClass {
    Poison,
    RetriesExhausted,
    Undecodable,
}

impl ErrorClass {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Poison => "poison",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Undecodable => "undecodable",
        }
    }
}

pub(super) fn classify(error: HandleError) -> Failure {
    match error {
        HandleError::Poison(reason) => Failure::Poison(reason),
        HandleError::Retry(reason) => Failure::Retry(reason),
        HandleError::Blocked(reason) => Failure::Blocked(reason),
        HandleError::Unavailable(reason) => Failure::Unavailable(reason),
        HandleError::Database(error) => classify_database(&error),
    }
}

/// An error of the connection, of the server as a whole or of its schema says nothing about the event, and trying again
/// will not wear it out. Nor does what other transactions do, which is in the way of this event alone. What else the server says
/// about a statement may be the event's fault, so it is counted.
fn classify_database(error: &sqlx::Error) -> Failure {
    // The message of a refusal names constraints and columns; the values are in its detail, which is not printed.
    let reason = error.to_string();
    // A session that is of no more use says nothing about the event either; the pool hands out another one.
    if chassis::database::note(error) {
        return Failure::Unavailable(reason);
    }
    match error {
        sqlx::Error::Database(refusal) if refusal.code().is_some_and(|code| is_about_others(&code)) => {
            Failure::Blocked(reason)
        }
        _ if chassis::database::is_away(error) => Failure::Unavailable(reason),
        _ => Failure::Retry(reason),
    }
}

/// A transaction that did not end in time: something is in its way if the database answers others, an outage if it does not.
pub(super) async fn classify_deadline(pool: &PgPool, deadline: Duration) -> Failure {
    let reason = format!("not done within {deadline:?}");
    let probe = sqlx::query_scalar!(r#"select 1 as "one!""#).fetch_one(pool);
    match tokio::time::timeout(PROBE_DEADLINE, probe).await {
        Ok(Ok(_)) => Failure::Blocked(reason),
        Ok(Err(_)) | Err(_) => Failure::Unavailable(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_never_counted_against_the_event() {
        for error in [
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
            sqlx::Error::WorkerCrashed,
            sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()),
            sqlx::Error::Protocol("connection cut in the middle of a message".to_owned()),
        ] {
            assert!(matches!(classify(error.into()), Failure::Unavailable(_)));
        }
    }

    #[test]
    fn what_others_do_is_not_counted_against_the_event_and_is_no_outage() {
        for code in ["40001", "40P01", "55P03", "57014"] {
            assert!(is_about_others(code), "{code}");
        }
    }

    #[test]
    fn what_a_statement_met_is_counted() {
        // Unique and check violation, division by zero.
        for code in ["23505", "23514", "22012"] {
            assert!(!is_about_others(code), "{code}");
        }
        assert!(matches!(classify(sqlx::Error::RowNotFound.into()), Failure::Retry(_)));
    }
}
