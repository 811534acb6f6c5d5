//! What somebody else's transaction does to ours.

/// SQLSTATE codes of what another transaction did to this one, or of the server having been too slow for it.
const CODES: [&str; 5] = [
    "40001", // serialization failure
    "40P01", // deadlock
    "55P03", // lock not available: the lock time-out
    "55006", // object in use
    "57014", // the statement's time-out: a lock behind a lock, a disk that stalls; an administrator's cancel
];

/// Whether the code is one of them: nothing was done, and it says nothing about the statement.
pub(crate) fn is_about_others(code: &str) -> bool {
    CODES.contains(&code)
}

/// Whether the server refused a statement because of others.
pub(crate) fn is_blocked(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|refusal| refusal.code()).is_some_and(|code| is_about_others(&code))
}
