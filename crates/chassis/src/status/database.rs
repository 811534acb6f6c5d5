//! What a failed query means to the caller.

use std::time::Duration;

use sqlx::Error;
use tonic::Status;

use super::{deadline_exceeded, internal, reasons, unavailable};
use crate::database::note;

/// A restart of Postgres takes well under a second here.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// A failover takes longer.
const RETRY_AFTER_FAILOVER: Duration = Duration::from_secs(1);

/// Turns a query's error into a status: UNAVAILABLE when trying again may help (database down, read-only or failing over, pool exhausted,
/// deadlock), DEADLINE_EXCEEDED when the statement took too long, INTERNAL (logged, opaque) otherwise. A session that is of no more use
/// is not used again ([`crate::database::note`]).
///
/// Constraint violations that mean something to the domain are turned into domain errors where the query runs; here they
/// are internal.
pub fn from_database(error: &Error) -> Status {
    let is_condemned = note(error);
    match error {
        Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => {
            unavailable_because(error, RETRY_AFTER)
        }
        Error::Database(database) if database.code().as_deref() == Some("25006") => {
            unavailable_because(error, RETRY_AFTER_FAILOVER)
        }
        _ if is_condemned => unavailable_because(error, RETRY_AFTER),
        Error::Database(database) => match database.code().as_deref() {
            Some("57014") => deadline_exceeded("a statement took too long"),
            Some(code) if is_transient(code) => unavailable_because(error, RETRY_AFTER),
            _ => internal(error),
        },
        _ => internal(error),
    }
}

fn unavailable_because(error: &Error, retry_after: Duration) -> Status {
    tracing::warn!(error = error as &dyn std::error::Error, "database unavailable");
    unavailable(reasons::DEPENDENCY_UNAVAILABLE, "the database is unavailable", retry_after)
}

/// SQLSTATEs after which the same transaction may succeed. Source: PostgreSQL manual, appendix A.
fn is_transient(code: &str) -> bool {
    // 08: connection exceptions; 53: insufficient resources; 57P01-57P03: shutting down, crashed, starting up;
    // 40001, 40P01: serialisation failure, deadlock; 55P03: lock not available; 28, 3D000: while it is being set up anew.
    code.starts_with("08")
        || code.starts_with("53")
        || code.starts_with("28")
        || matches!(code, "57P01" | "57P02" | "57P03" | "40001" | "40P01" | "55P03" | "3D000")
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_lost_connection_is_worth_a_retry_and_a_bug_is_not() {
        let lost = Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(from_database(&lost).code(), Code::Unavailable);
        assert_eq!(from_database(&Error::PoolTimedOut).code(), Code::Unavailable);
        assert_eq!(from_database(&Error::RowNotFound).code(), Code::Internal);
    }

    #[test]
    fn sqlstates_of_outages_and_conflicts_are_transient() {
        for code in ["08006", "53300", "57P01", "57P03", "40001", "40P01", "55P03", "28P01", "3D000"] {
            assert!(is_transient(code), "{code}");
        }
        for code in ["23505", "42601", "22003", "57014"] {
            assert!(!is_transient(code), "{code}");
        }
    }
}
