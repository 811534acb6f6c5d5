//! Bounds the requests served at once. There is no queue: a refused request costs its caller a retry elsewhere or later,
//! a queued one costs everybody behind it their deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Admits up to a number of requests at a time.
#[derive(Debug, Clone)]
pub struct InFlightLimit {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    current: AtomicUsize,
    max: usize,
}

/// An admitted request; dropping it makes room.
#[derive(Debug)]
pub struct InFlight {
    state: Arc<State>,
}

impl InFlightLimit {
    /// Admits up to `max` requests.
    pub fn new(max: usize) -> Self {
        Self { state: Arc::new(State { current: AtomicUsize::new(0), max }) }
    }

    /// Admits one request, or `None` when `max` are being served.
    pub fn try_enter(&self) -> Option<InFlight> {
        // Relaxed: the count guards nothing but itself.
        let before = self.state.current.fetch_add(1, Ordering::Relaxed);
        let entered = InFlight { state: Arc::clone(&self.state) };
        // Dropping `entered` takes the count back.
        (before < self.state.max).then_some(entered)
    }

    /// Whether the next one would be refused.
    pub fn is_full(&self) -> bool {
        self.current() >= self.state.max
    }

    /// Requests being served.
    pub fn current(&self) -> usize {
        self.state.current.load(Ordering::Relaxed)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.current.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_when_a_request_ends() {
        let limit = InFlightLimit::new(1);
        let first = limit.try_enter();
        assert!(first.is_some());
        assert!(limit.try_enter().is_none());
        drop(first);
        assert!(limit.try_enter().is_some());
        assert_eq!(limit.current(), 0);
    }
}
