//! The streams of events that one process holds: how many, whose, and until when each. A stream is no request in flight: it has
//! begun, asks nothing of anybody until something changes, and lasts for minutes.
//!
//! A page that opens streams and forgets them must not take those of others. So a session has a few and an address has a share; who opens
//! one more than that loses the oldest of its own, which is the one it is least likely to look at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use chassis::server::ClientAddress;
use chrono::{DateTime, Utc};
use ids::CustomerId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// Streams that begin together, after an outage say, must not end together: each gets at least this part of the longest life.
const LIFE_MIN: f64 = 0.8;
/// When to come back to a process that has no seat left. Full of streams that live five minutes, it has one free every 0.3 s.
const COME_BACK_AFTER: Duration = Duration::from_secs(5);
const OPEN: &str = "event_streams_open";

/// How many streams.
#[derive(Debug, Clone, Copy)]
pub struct StreamsMax {
    /// In all.
    pub all: usize,
    /// From one address, behind which there may be many people.
    pub per_address: usize,
    /// Of one session: a shopper's open tabs and devices.
    pub per_session: usize,
}

/// The streams of one process.
#[derive(Debug, Clone)]
pub struct EventStreams {
    max: StreamsMax,
    life_max: Duration,
    draining: CancellationToken,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    next: u64,
    /// By number: the order in which they began.
    seats: BTreeMap<u64, Watcher>,
}

/// Who watches, and how to end it.
#[derive(Debug)]
struct Watcher {
    customer: CustomerId,
    address: Option<ClientAddress>,
    end: CancellationToken,
}

impl EventStreams {
    /// Room for `max` streams, each of which ends within `life_max`, or at once when `draining` is cancelled.
    pub fn new(max: StreamsMax, life_max: Duration, draining: CancellationToken) -> Self {
        Self { max, life_max, draining, held: Arc::default() }
    }

    /// Streams that are open.
    pub fn current(&self) -> usize {
        locked(&self.held).seats.len()
    }

    /// A seat for a stream of `customer`, which must not outlive its session; perhaps that of an older one of the same session or address.
    pub(crate) fn take_seat(
        &self,
        customer: CustomerId,
        address: Option<ClientAddress>,
        session_ends_at: DateTime<Utc>,
    ) -> Result<Seat, TooManyWatchers> {
        let mut held = locked(&self.held);
        held.make_room(self.max.per_session, |watcher| watcher.customer == customer);
        if address.is_some() {
            held.make_room(self.max.per_address, |watcher| watcher.address == address);
        }
        if held.seats.len() >= self.max.all {
            metrics::counter!("event_streams_refused_total").increment(1);
            return Err(TooManyWatchers);
        }
        let number = held.next;
        held.next += 1;
        let end = self.draining.child_token();
        held.seats.insert(number, Watcher { customer, address, end: end.clone() });
        metrics::gauge!(OPEN).set(held.seats.len() as f64);
        let life = self.life_max.mul_f64(rand::random_range(LIFE_MIN..=1.0));
        let session_life = (session_ends_at - Utc::now()).to_std().unwrap_or_default();
        let ends_at = Instant::now() + life.min(session_life);
        Ok(Seat { number, ends_at, end, held: Arc::clone(&self.held) })
    }
}

impl Held {
    /// Ends the oldest of those that are the asker's own, until there are fewer than `max`. They count no longer, though each may take a
    /// moment to go.
    fn make_room(&mut self, max: usize, is_own: impl Fn(&Watcher) -> bool) {
        let own: Vec<u64> =
            self.seats.iter().filter(|(_, watcher)| is_own(watcher)).map(|(number, _)| *number).collect();
        let too_many = (own.len() + 1).saturating_sub(max);
        for number in own.into_iter().take(too_many) {
            if let Some(watcher) = self.seats.remove(&number) {
                metrics::counter!("event_streams_replaced_total").increment(1);
                watcher.end.cancel();
            }
        }
    }
}

/// The process watches as many carts as it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many carts are being watched; read the cart instead, and try again when Retry-After says")]
pub struct TooManyWatchers;

impl From<TooManyWatchers> for Problem {
    fn from(refused: TooManyWatchers) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TOO_MANY_WATCHERS", refused.to_string())
            .retry_after(COME_BACK_AFTER)
    }
}

/// The seat of one stream; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Seat {
    number: u64,
    ends_at: Instant,
    end: CancellationToken,
    held: Arc<Mutex<Held>>,
}

impl Seat {
    /// Returns when the stream has to end. Its client connects again, perhaps to another process.
    pub(crate) async fn over(&self) {
        tokio::select! {
            () = self.end.cancelled() => {}
            () = tokio::time::sleep_until(self.ends_at) => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut held = locked(&self.held);
        held.seats.remove(&self.number);
        metrics::gauge!(OPEN).set(held.seats.len() as f64);
    }
}

/// Held for a walk over the seats, never across an await. A poisoned lock still holds them.
fn locked(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(all: usize, per_address: usize, per_session: usize) -> EventStreams {
        let max = StreamsMax { all, per_address, per_session };
        EventStreams::new(max, Duration::from_secs(300), CancellationToken::new())
    }

    fn address(last: u8) -> Option<ClientAddress> {
        Some(std::net::IpAddr::from([192, 0, 2, last]).into())
    }

    fn seat(streams: &EventStreams, customer: CustomerId, from: u8) -> Result<Seat, TooManyWatchers> {
        streams.take_seat(customer, address(from), Utc::now() + chrono::TimeDelta::hours(1))
    }

    #[tokio::test]
    async fn a_session_that_opens_one_more_loses_its_own_oldest_and_nobody_elses() {
        let streams = streams(10, 8, 2);
        let (shopper, other) = (CustomerId::generate(), CustomerId::generate());
        let others = seat(&streams, other, 1).unwrap();
        let mine = [seat(&streams, shopper, 1).unwrap(), seat(&streams, shopper, 2).unwrap()];
        let newest = seat(&streams, shopper, 3).unwrap();
        mine[0].over().await;
        assert!(!mine[1].end.is_cancelled() && !newest.end.is_cancelled() && !others.end.is_cancelled());
        assert_eq!(streams.current(), 3);
        drop(mine);
        assert_eq!(streams.current(), 2, "one that was replaced is not given back twice");
    }

    #[tokio::test]
    async fn an_address_of_many_sessions_has_a_share_and_others_have_the_rest() {
        let streams = streams(4, 3, 2);
        let crowd: Vec<_> = (0..5).map(|_| seat(&streams, CustomerId::generate(), 1).unwrap()).collect();
        assert_eq!(
            crowd.iter().map(|seat| seat.end.is_cancelled()).collect::<Vec<_>>(),
            [true, true, false, false, false]
        );
        let _other = seat(&streams, CustomerId::generate(), 2).unwrap();
        assert!(seat(&streams, CustomerId::generate(), 3).is_err(), "who holds nothing ends nobody else's");
    }

    #[tokio::test]
    async fn all_end_when_the_process_drains() {
        let streams = streams(2, 2, 2);
        let open = seat(&streams, CustomerId::generate(), 1).unwrap();
        streams.draining.cancel();
        open.over().await;
    }
}
