//! While changes are not heard of: for how long, and what the service's condition says about it.
//!
//! The feed goes on trying by itself, and for most reasons that is all there is to do. One needs a person: a slot is made only once every
//! transaction of the *server* that had written something has ended, whatever its database. One that somebody left open keeps the feed
//! away for as long as it lasts, so it is named.

use std::time::Duration;

use chassis::conditions;
use chassis::telemetry::causes;
use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, timeout};

use super::stream::FeedError;

/// The condition's name.
const PART: &str = "feed/cart-changes";
/// A restart of the server, or a transaction of ours, is over by then.
const PATIENCE: Duration = Duration::from_secs(10);
/// A look at the list of processes, with a connection of its own.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// Since when changes are not heard of, and how often the feed was tried in vain.
pub(super) struct Absence {
    since: Instant,
    pub(super) failures: u32,
}

impl Absence {
    /// Begins now.
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), failures: 0 }
    }

    /// Changes are heard of.
    pub(super) fn ends(&mut self) {
        self.failures = 0;
        conditions::clear(PART);
    }

    /// The feed ended, or could not be opened. Returns who holds it up, if somebody does.
    pub(super) async fn goes_on(&mut self, error: &FeedError, options: &PgConnectOptions) -> Option<Holder> {
        if self.failures == 0 {
            self.since = Instant::now();
        }
        self.failures += 1;
        let holder = if matches!(error, FeedError::SlotWaits(_)) { holder(options).await } else { None };
        // A slot that waits has waited for longer than that.
        if matches!(error, FeedError::SlotWaits(_)) || self.since.elapsed() >= PATIENCE {
            conditions::report(PART, &why(error, holder.as_ref()));
        }
        holder
    }
}

/// A transaction of the server, in whatever database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    /// Its process; none when it is prepared, and waits for somebody's second phase.
    pid: Option<i32>,
    database: Option<String>,
    /// Since when; unknown of another role's.
    since: Option<DateTime<Utc>>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "a transaction of process {pid}")?,
            None => f.write_str("a prepared transaction")?,
        }
        if let Some(database) = &self.database {
            write!(f, " in database {database}")?;
        }
        if let Some(since) = self.since {
            write!(f, " since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true))?;
        }
        Ok(())
    }
}

fn why(error: &FeedError, holder: Option<&Holder>) -> String {
    let effect = "changes of carts are not heard of, so nobody can watch one, and reads go to the database";
    match holder {
        Some(holder) => format!("{effect}: {holder} is open; end it, and the feed goes on by itself"),
        None => format!("{effect}: {}", causes(error)),
    }
}

/// The oldest transaction that a slot would wait for. Without an answer nobody is named.
async fn holder(options: &PgConnectOptions) -> Option<Holder> {
    let asked = async {
        let mut connection = PgConnection::connect_with(options).await?;
        let holder = sqlx::query_as!(
            Holder,
            r#"select pid as "pid?", database as "database?", since as "since?"
               from (
                   select pid, datname::text as database, xact_start as since, age(backend_xid) as age
                   from pg_stat_activity where backend_xid is not null
                   union all
                   select null, database::text, prepared, age(transaction) from pg_prepared_xacts
               ) running
               order by age desc limit 1"#,
        )
        .fetch_optional(&mut connection)
        .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(holder)
    };
    match timeout(LOOK_DEADLINE, asked).await {
        Ok(Ok(holder)) => holder,
        Ok(Err(error)) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "who holds up the feed was not found out");
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_up_the_feed_is_named() {
        let error = FeedError::TooLong("opening the stream of changes");
        let holder = Holder { pid: Some(4_711), database: Some("order".to_owned()), since: Some(DateTime::UNIX_EPOCH) };
        let told = why(&error, Some(&holder));
        assert!(told.contains("process 4711 in database order since 1970-01-01T00:00:00Z"), "{told}");
        let prepared = Holder { pid: None, since: None, ..holder };
        assert_eq!(prepared.to_string(), "a prepared transaction in database order");
        assert!(why(&error, None).ends_with("opening the stream of changes took too long"));
    }
}
