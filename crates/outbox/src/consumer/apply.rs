//! The transaction: inbox rows and effects, together or not at all.

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::trace_context::span_with_parent;
use ids::Region;
use sabotage::{Guard, crash_point};
use sqlx::{PgConnection, PgPool};
use tracing::Instrument as _;
use uuid::Uuid;

use super::failure::{self, Failure};
use super::handler::{HandleError, Handler};
use crate::event::Received;
use crate::telemetry;

/// For a whole transaction, effects included. Handlers only touch the database, so this is minutes of work for it;
/// longer, and a statement hangs.
pub(super) const APPLY_DEADLINE: Duration = Duration::from_secs(30);

/// How long a transaction waits for a lock. Everybody holds theirs for a few milliseconds; one that is held for longer must not
/// hold up the events that do not need it.
const LOCK_TIMEOUT: &str = "250ms";

/// Which consumer this is, and where it remembers.
#[derive(Clone)]
pub(super) struct Inbox {
    pub(super) pool: PgPool,
    pub(super) region: Region,
    /// The consumer group.
    pub(super) group: &'static str,
}

/// What became of a committed batch, for the counters.
#[derive(Default)]
struct Tally {
    handled: u64,
    duplicates: u64,
}

impl Inbox {
    /// Applies each event that is ours and that this consumer has not applied before, in the given order, and remembers
    /// it.
    ///
    /// # Errors
    /// [`Failure`]: nothing was applied. Except after a lost connection, when the commit may have happened; repeating
    /// it is how to find out, since the inbox rows committed with it.
    pub(super) async fn apply(&self, handler: &impl Handler, events: &[&Received]) -> Result<(), Failure> {
        let ours: Vec<_> = events.iter().copied().filter(|event| event.home_region == self.region).collect();
        let tally = if ours.is_empty() {
            Tally::default()
        } else {
            match tokio::time::timeout(APPLY_DEADLINE, self.transaction(handler, &ours)).await {
                Ok(Ok(tally)) => tally,
                Ok(Err(error)) => return Err(failure::classify(error)),
                Err(_) => return Err(failure::classify_deadline(&self.pool, APPLY_DEADLINE).await),
            }
        };
        let foreign = events.len() - ours.len();
        metrics::counter!(telemetry::HANDLED, "consumer" => self.group).increment(tally.handled);
        metrics::counter!(telemetry::DUPLICATES, "consumer" => self.group).increment(tally.duplicates);
        metrics::counter!(telemetry::FOREIGN, "consumer" => self.group).increment(foreign as u64);
        Ok(())
    }

    async fn transaction(&self, handler: &impl Handler, events: &[&Received]) -> Result<Tally, HandleError> {
        let mut tx = chassis::database::begin(&self.pool).await?;
        let mut fresh = self.remember(&mut tx, events).await?;
        let mut tally = Tally::default();
        for event in events {
            // Removing: an event that was published twice can be in one batch twice.
            if fresh.remove(&event.id.as_uuid()) || sabotage::is_removed(Guard::InboxCheck) {
                let span = span_with_parent(&event.event_type, event.traceparent.as_deref());
                handler.handle(&mut tx, event).instrument(span).await?;
                tally.handled += 1;
            } else {
                tracing::debug!(consumer = self.group, event_id = %event.id, "duplicate skipped");
                tally.duplicates += 1;
            }
        }
        // Until here nothing has happened. The commit waits for the disk: after it the offset moves on, and nobody will
        // ask again.
        crash_point("consumer.apply.before-commit").await;
        tx.commit().await?;
        crash_point("consumer.apply.after-commit").await;
        Ok(tally)
    }

    /// Inserts the inbox rows of the events and returns the ids that were not there before.
    ///
    /// Another member of the group may hold the same events for a moment after a partition has moved. The insert then
    /// waits until that transaction has ended, and sees its rows or none. Ids are inserted in their order, so that two
    /// such members do not wait for each other.
    ///
    /// It bounds how long this transaction waits for a lock, unless its pool has a bound of its own: in the same statement, because
    /// it would cost each batch another round trip. (A volatile function in a subquery of its own is not optimised away.)
    async fn remember(&self, conn: &mut PgConnection, events: &[&Received]) -> Result<BTreeSet<Uuid>, sqlx::Error> {
        let ids: BTreeSet<Uuid> = events.iter().map(|event| event.id.as_uuid()).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let fresh = sqlx::query_scalar!(
            "insert into inbox (consumer, event_id)
             select $1, fresh.event_id
             from unnest($2::uuid[]) as fresh (event_id), (
                 select set_config('lock_timeout', coalesce(nullif(current_setting('lock_timeout'), '0'), $3), true)
             ) as patience
             on conflict do nothing
             returning event_id",
            self.group,
            &ids,
            LOCK_TIMEOUT,
        )
        .fetch_all(conn)
        .await?;
        Ok(fresh.into_iter().collect())
    }
}
