//! Brings records to their end: applied, recognised, skipped, dead-lettered, or parked until they can be.

use std::collections::VecDeque;
use std::time::Duration;

use chassis::retry::Backoff;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::{Item, Key};
use super::dead_letter::DeadLetters;
use super::failure::{ErrorClass, Failure};
use super::handler::Handler;
use super::parked::{Parked, Waiting};
use super::progress::{Progress, WentBack};
use super::standing::Standing;
use super::{Consumer, RETRY_DELAY_MAX, TRIES_MAX};
use crate::telemetry;
use crate::waiting::back_off;

const RETRY_BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), RETRY_DELAY_MAX);
/// Between looks at a dependency that is away, and at what somebody else holds. The cap bounds how late we notice that it is back.
const STALL_BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
/// The first of so many tries is logged; then each time that they have doubled.
const LOGGED_FIRST: u32 = 2;

/// The token was cancelled before the records were done. What is left of them is delivered again at the next start.
pub(super) struct Stopped;

/// What a consumer has in hand.
pub(super) struct Desk {
    pub(super) progress: Progress,
    pub(super) parked: Parked,
    pub(super) dead_letters: DeadLetters,
    pub(super) standing: Standing,
}

/// What one try of a record led to.
enum Attempt {
    Done,
    Later {
        /// It counts against the event.
        is_counted: bool,
        reason: String,
    },
}

impl<H: Handler> Consumer<H> {
    /// Settles records that were just fetched.
    pub(super) async fn settle(
        &self,
        items: Vec<Item>,
        desk: &mut Desk,
        token: &CancellationToken,
    ) -> Result<(), Stopped> {
        for item in &items {
            if let Err(WentBack { expected }) = desk.progress.took(item) {
                tracing::warn!(
                    consumer = self.inbox.group,
                    place = item.place(),
                    expected,
                    "the broker delivers what it had delivered before: its log lost its end, or the group its position"
                );
                desk.parked.forget(&item.delivered.record.topic, item.delivered.partition);
            }
        }
        self.apply(items.into(), desk, token).await
    }

    /// Tries the key that has waited for its turn, if one has.
    pub(super) async fn settle_due(&self, desk: &mut Desk, token: &CancellationToken) -> Result<(), Stopped> {
        let Some((key, mut waiting)) = desk.parked.take_due(Instant::now()) else { return Ok(()) };
        let Some(first) = waiting.items.pop_front() else { return Ok(()) };
        match self.attempt(&first, waiting.tries, &mut desk.dead_letters, &mut desk.standing, token).await? {
            Attempt::Done => {
                desk.progress.settled(&first);
                self.apply(waiting.items, desk, token).await
            }
            Attempt::Later { is_counted, reason } => {
                waiting.items.push_front(first);
                self.park(key, waiting, is_counted, reason, desk);
                Ok(())
            }
        }
    }

    /// As one batch if that goes, one by one if not.
    async fn apply(&self, items: VecDeque<Item>, desk: &mut Desk, token: &CancellationToken) -> Result<(), Stopped> {
        let ready: Vec<Item> = items.into_iter().filter_map(|item| desk.parked.behind(item)).collect();
        if ready.is_empty() {
            return Ok(());
        }
        let events: Option<Vec<_>> = ready.iter().map(|item| item.event.as_ref().ok()).collect();
        let mut stalls = 0;
        while let Some(events) = &events {
            match self.inbox.apply(self.handler.as_ref(), events).await {
                Ok(()) => {
                    ready.iter().for_each(|item| desk.progress.settled(item));
                    return Ok(());
                }
                Err(Failure::Unavailable(reason)) => {
                    self.stall(&ready[0], &mut stalls, &reason, &mut desk.standing, token).await?;
                }
                Err(Failure::Poison(_) | Failure::Retry(_) | Failure::Blocked(_)) => break,
            }
        }
        for item in ready {
            let Some(item) = desk.parked.behind(item) else { continue };
            match self.attempt(&item, 0, &mut desk.dead_letters, &mut desk.standing, token).await? {
                Attempt::Done => desk.progress.settled(&item),
                Attempt::Later { is_counted, reason } => {
                    let (key, now) = (item.key(), Instant::now());
                    let items = [item].into();
                    let waiting = Waiting { items, tries: 0, waits: 0, since: now, due: now, reason: String::new() };
                    self.park(key, waiting, is_counted, reason, desk);
                }
            }
        }
        Ok(())
    }

    /// One try of a single record, which may be one that does not decode. `tries`: those before it that count.
    async fn attempt(
        &self,
        item: &Item,
        tries: u32,
        dead_letters: &mut DeadLetters,
        standing: &mut Standing,
        token: &CancellationToken,
    ) -> Result<Attempt, Stopped> {
        let mut stalls = 0;
        let (class, reason) = loop {
            let event = match &item.event {
                Ok(event) => event,
                Err(error) => break (ErrorClass::Undecodable, error.to_string()),
            };
            match self.inbox.apply(self.handler.as_ref(), &[event]).await {
                Ok(()) => return Ok(Attempt::Done),
                Err(Failure::Unavailable(reason)) => self.stall(item, &mut stalls, &reason, standing, token).await?,
                Err(Failure::Blocked(reason)) => return Ok(Attempt::Later { is_counted: false, reason }),
                Err(Failure::Poison(reason)) => break (ErrorClass::Poison, reason),
                Err(Failure::Retry(reason)) if tries + 1 < TRIES_MAX => {
                    return Ok(Attempt::Later { is_counted: true, reason });
                }
                Err(Failure::Retry(reason)) => break (ErrorClass::RetriesExhausted, reason),
            }
        };
        // An outage of the dead letters holds up this key alone: what can be applied needs none.
        match dead_letters.send(item, class, &reason).await {
            Ok(()) => Ok(Attempt::Done),
            Err(error) => {
                Ok(Attempt::Later { is_counted: false, reason: format!("{error} ({}: {reason})", class.name()) })
            }
        }
    }

    /// Lets the key wait until its next try.
    fn park(&self, key: Key, mut waiting: Waiting, is_counted: bool, reason: String, desk: &mut Desk) {
        let group = self.inbox.group;
        waiting.waits += 1;
        let delay = if is_counted {
            waiting.tries += 1;
            metrics::counter!(telemetry::RETRIES, "consumer" => group).increment(1);
            RETRY_BACKOFF.delay_now(waiting.tries)
        } else {
            metrics::counter!(telemetry::BLOCKED, "consumer" => group).increment(1);
            STALL_BACKOFF.delay_now(waiting.waits)
        };
        if waiting.waits < LOGGED_FIRST || waiting.waits.is_power_of_two() {
            let first = waiting.items.front();
            tracing::warn!(
                consumer = group,
                place = first.map(Item::place),
                event_id =
                    first.and_then(|item| item.event.as_ref().ok()).map(|event| tracing::field::display(event.id)),
                tries = waiting.waits,
                is_counted,
                behind_it = waiting.items.len().saturating_sub(1),
                reason,
                "event waits for another try, those of other keys go on"
            );
        }
        waiting.due = Instant::now() + delay;
        waiting.reason = reason;
        desk.parked.park(key, waiting);
    }

    /// Waits a little for a dependency that is away, with everything behind it.
    async fn stall(
        &self,
        item: &Item,
        stalls: &mut u32,
        reason: &str,
        standing: &mut Standing,
        token: &CancellationToken,
    ) -> Result<(), Stopped> {
        *stalls += 1;
        let group = self.inbox.group;
        if *stalls < LOGGED_FIRST || stalls.is_power_of_two() {
            tracing::warn!(
                consumer = group,
                stalls = *stalls,
                place = item.place(),
                reason,
                "waiting for a dependency"
            );
        }
        metrics::counter!(telemetry::STALLS, "consumer" => group).increment(1);
        standing.stalled(&item.place(), reason);
        if back_off(STALL_BACKOFF, *stalls, token).await { Ok(()) } else { Err(Stopped) }
    }
}
