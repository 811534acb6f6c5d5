//! Sessions that are of no more use, though their connection lives: the server behind them was demoted, restored or is going away.
//!
//! Postgres never says so by itself. A session that was opened on a primary stays open when it may only read, and a pool that hands it
//! out again answers every write with an error until its connection is replaced for some other reason. So whoever meets such
//! an error says so here ([`note`]), and every session that is older than that is dropped instead of being handed out. For those who
//! meet it and say nothing, the pool asks one session a second whether it can still write.
//!
//! New sessions are not refused: while the server can only read, it still answers what is only read, and a write says at once that it
//! cannot be made, instead of waiting for a session that nobody can open. The next one is tried soon.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::PgPoolOptions;
use sqlx::{Error, PgConnection};

/// At most this often are all sessions replaced: while the server can only read, that bounds the connections that are made.
const CONDEMN_EVERY: Duration = Duration::from_millis(250);
/// How often one session is asked whether it can write. It bounds how long a demotion stays unnoticed that nobody told of, and costs
/// one short query a second under load, none without.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// An answer takes a fraction of a millisecond; who does not answer by then is of no use either.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// When the sessions were last condemned, and asked. One for the whole process: a service has one database, however many pools.
static SESSIONS: Sessions = Sessions { condemned_at_ms: AtomicU64::new(0), asked_at_ms: AtomicU64::new(0) };

struct Sessions {
    condemned_at_ms: AtomicU64,
    asked_at_ms: AtomicU64,
}

/// Milliseconds on a clock of our own that never goes back. It begins well above 0, so that nothing is older than it.
fn now_ms() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    let since = START.get_or_init(Instant::now).elapsed() + Duration::from_secs(365 * 24 * 3_600);
    millis(since)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Sessions {
    /// Condemns every session that there is at `now`. Whether it did: once was enough a moment ago.
    fn condemn(&self, now: u64) -> bool {
        advance(&self.condemned_at_ms, now, CONDEMN_EVERY)
    }

    /// Whether the session that was opened at `opened` is to be dropped.
    fn is_condemned(&self, opened: u64) -> bool {
        opened <= self.condemned_at_ms.load(Ordering::Acquire)
    }

    /// Whether it is the caller's turn to ask.
    fn is_to_be_asked(&self, now: u64) -> bool {
        advance(&self.asked_at_ms, now, ASK_EVERY)
    }
}

/// Sets `at` to `now` if it lies further back than `every`; one of many callers at once does.
fn advance(at: &AtomicU64, now: u64, every: Duration) -> bool {
    let last = at.load(Ordering::Acquire);
    now.saturating_sub(last) >= millis(every)
        && at.compare_exchange(last, now, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// Whether the session that gave this error is of no more use: it can only read, is being ended, or has lost step with its server.
pub fn condemns(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        Error::Database(error) => error.code().is_some_and(|code| is_condemning(&code, error.message())),
        _ => false,
    }
}

/// Source: PostgreSQL manual, appendix A.
fn is_condemning(code: &str, message: &str) -> bool {
    // 25006: read only; 57P01 to 57P05: shutting down, crashed, starting up, database dropped, idle for too long; 25P03: ended because
    // its transaction was idle; 26000: a prepared statement that should be there is not (a pooler swapped the session); 08: lost.
    // Of 0A000 only what a migration leaves behind in old sessions.
    code.starts_with("08")
        || matches!(code, "25006" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "26000")
        || (code == "0A000" && message.contains("cached plan"))
}

/// Tells the pools of an error that a session gave. If it condemns the session, it and all that were opened before it are dropped when
/// they would be handed out next. Returns whether it does.
pub fn note(error: &Error) -> bool {
    let condemns = condemns(error);
    if condemns {
        condemn(error);
    }
    condemns
}

fn condemn(why: &dyn std::fmt::Display) {
    if SESSIONS.condemn(now_ms()) {
        metrics::counter!("database_sessions_condemned_total").increment(1);
        tracing::warn!(%why, "the sessions with the database are of no more use; new ones are opened");
    }
}

/// Makes a pool of sessions that can write, as far as can be known: see the module. Every pool of a service is made with it.
pub fn of_writers(options: PgPoolOptions) -> PgPoolOptions {
    options
        // A ping before each use doubles the round trips. A connection that died shows as UNAVAILABLE once, which the caller
        // retries.
        .test_before_acquire(false)
        .before_acquire(|conn, meta| Box::pin(async move { Ok(is_of_use(conn, meta.age).await) }))
}

async fn is_of_use(conn: &mut PgConnection, age: Duration) -> bool {
    let now = now_ms();
    if SESSIONS.is_condemned(now.saturating_sub(millis(age))) {
        return false;
    }
    if !SESSIONS.is_to_be_asked(now) {
        return true;
    }
    match tokio::time::timeout(ANSWER_WITHIN, can_write(conn)).await {
        Ok(Ok(true)) => true,
        Ok(Ok(false)) => {
            condemn(&"a session can only read");
            false
        }
        Ok(Err(error)) => {
            note(&error);
            false
        }
        Err(_) => false,
    }
}

/// Asks a session that its owner keeps for long, and no pool hands out, whether it can still write. Who only reads would never be told by an
/// error. If it cannot, all sessions that are as old are condemned with it.
///
/// # Errors
/// One that condemns the session: connect anew.
pub async fn still_writes(conn: &mut PgConnection) -> Result<(), Error> {
    match can_write(conn).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let only_reads = Error::Io(std::io::Error::other("the session can only read: its server was demoted"));
            condemn(&only_reads);
            Err(only_reads)
        }
        Err(error) => {
            note(&error);
            Err(error)
        }
    }
}

/// What libpq asks for `target_session_attrs=read-write`.
async fn can_write(conn: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar("select not pg_is_in_recovery() and not current_setting('transaction_read_only')::boolean")
        .fetch_one(conn)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_the_session_condemns_it_and_a_fault_of_the_statement_does_not() {
        for code in ["25006", "57P01", "57P02", "57P03", "57P05", "08006", "08P01", "25P03", "26000"] {
            assert!(is_condemning(code, ""), "{code}");
        }
        assert!(is_condemning("0A000", "cached plan must not change result type"));
        for code in ["0A000", "23505", "40001", "40P01", "55P03", "57014", "42601", "25P02", "53300"] {
            assert!(!is_condemning(code, "no"), "{code}");
        }
        assert!(condemns(&Error::Io(std::io::ErrorKind::ConnectionReset.into())));
        assert!(!condemns(&Error::RowNotFound) && !condemns(&Error::PoolTimedOut));
    }

    #[test]
    fn what_was_there_is_condemned_and_what_comes_after_is_not_and_not_over_and_over() {
        let sessions = Sessions { condemned_at_ms: AtomicU64::new(0), asked_at_ms: AtomicU64::new(0) };
        assert!(!sessions.is_condemned(1_000));
        assert!(sessions.condemn(2_000));
        assert!(sessions.is_condemned(1_000) && sessions.is_condemned(2_000) && !sessions.is_condemned(2_001));
        assert!(!sessions.condemn(2_249) && !sessions.is_condemned(2_100), "a moment ago");
        assert!(sessions.condemn(2_250) && sessions.is_condemned(2_100));
    }

    #[test]
    fn one_session_a_second_is_asked() {
        let sessions = Sessions { condemned_at_ms: AtomicU64::new(0), asked_at_ms: AtomicU64::new(0) };
        let asked = [5_000, 5_001, 5_999, 6_000, 6_500, 7_100].map(|now| sessions.is_to_be_asked(now));
        assert_eq!(asked, [true, false, false, true, false, true]);
    }
}
