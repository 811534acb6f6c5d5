//! Whether a failure is the database's as a whole, or that of one statement.
//!
//! Who works through many rows needs to know: what one of them met is no reason to leave the others undone, and a database that is away
//! is no reason to ask it about each of them.

use sqlx::Error;

use super::condemned::condemns;

/// Whether any other statement would fail just now as well: the server cannot be reached, takes no writes, or has no such table yet. What
/// another transaction did to this one (a lock, a deadlock, a serialisation failure) is not of that kind, nor is the time-out of a
/// statement, nor what the row itself holds.
pub fn is_away(error: &Error) -> bool {
    // A session that is of no more use tells of the server behind it.
    condemns(error)
        || match error {
            Error::Database(refusal) => refusal.code().is_some_and(|code| is_about_the_server(&code)),
            Error::RowNotFound
            | Error::ColumnDecode { .. }
            | Error::Decode(_)
            | Error::Encode(_)
            | Error::TypeNotFound { .. } => false,
            _ => true,
        }
}

/// SQLSTATE classes and codes that every statement would get just now (PostgreSQL documentation, appendix A).
fn is_about_the_server(code: &str) -> bool {
    const CLASSES: [&str; 6] = [
        "08", // connection exception
        "28", // the role may not log in
        "3D", // the database does not exist
        "42", // a table or column is missing, or access to it: this release runs before its migration
        "53", // insufficient resources: disk full, too many connections
        "58", // system error
    ];
    const CODES: [&str; 6] = [
        "25006", // read only: a standby, in a failover
        "57P01", // shutting down
        "57P02", // another session crashed
        "57P03", // starting up
        "57P04", // the database was dropped
        "57P05", // idle session timeout
    ];
    CLASSES.iter().any(|class| code.starts_with(class)) || CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_is_away_for_every_statement() {
        for error in [
            Error::PoolTimedOut,
            Error::PoolClosed,
            Error::WorkerCrashed,
            Error::Io(std::io::ErrorKind::ConnectionRefused.into()),
            Error::Protocol("connection cut in the middle of a message".to_owned()),
        ] {
            assert!(is_away(&error), "{error}");
        }
        for code in ["57P01", "57P03", "53300", "53100", "08006", "42P01", "25006"] {
            assert!(is_about_the_server(code), "{code}");
        }
    }

    #[test]
    fn what_one_statement_met_says_nothing_about_others() {
        assert!(!is_away(&Error::RowNotFound));
        // Others' locks, deadlocks and commits, the statement's time-out; a unique or check violation, a division by zero.
        for code in ["40001", "40P01", "55P03", "55006", "57014", "23505", "23514", "22012"] {
            assert!(!is_about_the_server(code), "{code}");
        }
    }
}
