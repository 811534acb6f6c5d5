//! What the database says the time is.
//!
//! A rule that compares a time which one process wrote with what another one reads must not depend on whose clock is right. All processes of
//! a service share its database, so its clock is the service's: this process reads it now and then, and counts on by its own
//! monotonic clock, which nobody can set.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::workers::Workers;

/// A database that moved to another machine, with another clock, is noticed so soon.
const READ_EVERY: Duration = Duration::from_secs(10);
/// How long the beginning waits for the first answer.
const FIRST_ANSWER: Duration = Duration::from_secs(3);
/// While it does not answer.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// From here on the difference of two clocks is worth a word.
const DIFFERENCE_TOLD_S: i64 = 5;

/// The database's clock, as far as this process knows it. Cheap to clone; clones share what they know.
#[derive(Clone, Debug)]
pub struct DatabaseClock(Arc<Mutex<Reading>>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    said: DateTime<Utc>,
    at: Instant,
}

impl DatabaseClock {
    /// Nothing was read yet: until then the time is what this process takes it for.
    pub fn unread() -> Self {
        Self(Arc::new(Mutex::new(Reading { said: Utc::now(), at: Instant::now() })))
    }

    /// The time, by the database's clock.
    pub fn now(&self) -> DateTime<Utc> {
        let Reading { said, at } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said + at.elapsed()
    }

    /// The same, as ids have it.
    pub fn since_epoch(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now().timestamp_millis()).unwrap_or_default())
    }

    /// Asks the database.
    ///
    /// # Errors
    /// What the server said; the time goes on from what was known.
    pub async fn read(&self, pool: &PgPool) -> Result<DateTime<Utc>, sqlx::Error> {
        let said = sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Reading { said, at: Instant::now() };
        Ok(said)
    }

    /// Asks the database of `pool` now, before anything goes by this clock, and from then on with a worker. A database that does not answer
    /// soon keeps nobody from beginning: without it there is nothing to compare times with, and it is asked again every second.
    pub async fn keep(&self, pool: &PgPool, workers: &mut Workers) {
        match tokio::time::timeout(FIRST_ANSWER, self.read(pool)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the database's clock is not known yet");
            }
            Err(_) => tracing::warn!("the database's clock is not known yet: no answer"),
        }
        let (clock, pool) = (self.clone(), pool.clone());
        workers.spawn("database-clock", move |token| clock.clone().follow(pool.clone(), token));
    }

    /// Asks it again and again, until `token` is cancelled, and says when this process's clock is another one.
    async fn follow(self, pool: PgPool, token: CancellationToken) -> Result<(), Infallible> {
        let mut told = 0;
        loop {
            let pause = match self.read(&pool).await {
                Ok(said) => {
                    let ahead = (Utc::now() - said).num_seconds();
                    if (ahead - told).abs() >= DIFFERENCE_TOLD_S {
                        tracing::warn!(
                            ahead_s = ahead,
                            "this process's clock is not the database's; the database's counts"
                        );
                        told = ahead;
                    }
                    READ_EVERY
                }
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "the database's clock was not read");
                    READ_AGAIN
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = token.cancelled() => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_by_itself_from_what_the_database_said() {
        let clock = DatabaseClock::unread();
        let said = Utc::now() - Duration::from_secs(7_200);
        *clock.0.lock().unwrap() = Reading { said, at: Instant::now() - Duration::from_secs(60) };
        let now = clock.clone().now() - said;
        assert!((60..62).contains(&now.num_seconds()), "{now}");
    }
}
