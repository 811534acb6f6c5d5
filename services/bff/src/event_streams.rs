//! The streams of events that one process holds: how many, and until when each. A stream is no request in flight: it has
//! begun, asks nothing of anybody until something changes, and lasts for minutes.

use std::time::Duration;

use axum::http::StatusCode;
use chassis::server::{InFlight, InFlightLimit};
use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// Streams that begin together, after an outage say, must not end together: each gets at least this part of the longest life.
const LIFE_MIN: f64 = 0.8;
/// When to come back to a process that has no seat left. Full of streams that live five minutes, it has one free every 0.3 s.
const COME_BACK_AFTER: Duration = Duration::from_secs(5);
const OPEN: &str = "event_streams_open";

/// The streams of one process.
#[derive(Debug, Clone)]
pub struct EventStreams {
    seats: InFlightLimit,
    life_max: Duration,
    draining: CancellationToken,
}

impl EventStreams {
    /// Room for `max` streams, each of which ends within `life_max`, or at once when `draining` is cancelled.
    pub fn new(max: usize, life_max: Duration, draining: CancellationToken) -> Self {
        Self { seats: InFlightLimit::new(max), life_max, draining }
    }

    /// Streams that are open.
    pub fn current(&self) -> usize {
        self.seats.current()
    }

    /// A seat for a stream, which must not outlive its session.
    pub(crate) fn take_seat(&self, session_ends_at: DateTime<Utc>) -> Result<Seat, TooManyWatchers> {
        let Some(place) = self.seats.try_enter() else {
            metrics::counter!("event_streams_refused_total").increment(1);
            return Err(TooManyWatchers);
        };
        metrics::gauge!(OPEN).increment(1.0);
        let life = self.life_max.mul_f64(rand::random_range(LIFE_MIN..=1.0));
        let session_life = (session_ends_at - Utc::now()).to_std().unwrap_or_default();
        let ends_at = Instant::now() + life.min(session_life);
        Ok(Seat { ends_at, draining: self.draining.clone(), _place: place })
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
    ends_at: Instant,
    draining: CancellationToken,
    _place: InFlight,
}

impl Seat {
    /// Returns when the stream has to end. Its client connects again, perhaps to another process.
    pub(crate) async fn over(&self) {
        tokio::select! {
            () = self.draining.cancelled() => {}
            () = tokio::time::sleep_until(self.ends_at) => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        metrics::gauge!(OPEN).decrement(1.0);
    }
}
