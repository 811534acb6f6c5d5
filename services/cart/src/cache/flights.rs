//! Single flight inside the process: of those who want the same at the same time, one works.
//!
//! With one rule more than usual: nobody gets the result of work that began before they asked. Somebody may have changed the cart,
//! been answered, and only then have asked; work that was under way by then may not have seen the change. So who arrives while one
//! works waits for the *next* one, together with all others who arrived: any crowd is at most two pieces of work in a row.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

/// Work by key.
#[derive(Debug)]
pub(super) struct Flights<K: Eq + Hash + Copy, T>(Mutex<HashMap<K, Arc<Flight<T>>>>);

/// The work on one key. It is there while somebody waits for it.
#[derive(Debug)]
struct Flight<T> {
    /// Pieces of work begun.
    begun: AtomicU64,
    /// Number and result of the last one that ended. Locked by who works; the others wait for the lock, first come, first served.
    ended: AsyncMutex<Option<(u64, T)>>,
}

impl<K: Eq + Hash + Copy, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Copy, T: Clone> Flights<K, T> {
    /// The result of `work`, or of somebody else's work on `key` that began after this call. Who is dropped half-way leaves the work to
    /// the next.
    pub(super) async fn join<W: Future<Output = T>>(&self, key: K, work: impl FnOnce() -> W) -> T {
        let seat = self.seat(key);
        let flight = &seat.flight;
        let before = flight.begun.load(Ordering::SeqCst);
        let mut ended = flight.ended.lock().await;
        if let Some((number, result)) = &*ended
            && *number > before
        {
            return result.clone();
        }
        let number = flight.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let result = work().await;
        *ended = Some((number, result.clone()));
        result
    }

    fn seat(&self, key: K) -> Seat<'_, K, T> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let flight = flights
            .entry(key)
            .or_insert_with(|| Arc::new(Flight { begun: AtomicU64::new(0), ended: AsyncMutex::new(None) }));
        Seat { flights: self, key, flight: Arc::clone(flight) }
    }
}

/// One who waits or works; the last one to go takes the flight along.
struct Seat<'a, K: Eq + Hash + Copy, T> {
    flights: &'a Flights<K, T>,
    key: K,
    flight: Arc<Flight<T>>,
}

impl<K: Eq + Hash + Copy, T> Drop for Seat<'_, K, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Seats are taken under this lock: the map's and ours are the last two.
        if Arc::strong_count(&self.flight) == 2 {
            flights.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;

    use super::*;

    const WORK: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_two_pieces_of_work_and_other_keys_do_not_wait() {
        let flights = Flights::default();
        let works = AtomicU64::new(0);
        let work = async || {
            works.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(WORK).await;
        };
        // The first works at once; the others come while it does.
        join_all((0..1_000).map(|_| flights.join("hot", work))).await;
        assert_eq!(works.load(Ordering::SeqCst), 2);
        let started = tokio::time::Instant::now();
        join_all((0_u32..1_000).map(|key| async move {
            let others = Flights::default();
            others.join(key, async || tokio::time::sleep(WORK).await).await;
        }))
        .await;
        assert_eq!(started.elapsed(), WORK);
        assert!(flights.0.lock().is_ok_and(|flights| flights.is_empty()), "nothing is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_gets_what_was_looked_up_before_they_asked() {
        let flights = Flights::default();
        let truth = AtomicU64::new(1);
        let look = async || {
            let seen = truth.load(Ordering::SeqCst);
            tokio::time::sleep(WORK).await;
            seen
        };
        let first = flights.join("cart", look);
        let changed_then_asked = async {
            tokio::time::sleep(WORK / 2).await;
            truth.store(2, Ordering::SeqCst);
            flights.join("cart", look).await
        };
        assert_eq!(futures::join!(first, changed_then_asked), (1, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn when_the_one_who_works_goes_away_the_next_one_works() {
        let flights = Flights::default();
        let dropped = tokio::time::timeout(WORK, flights.join("cart", std::future::pending::<u8>));
        let patient = flights.join("cart", async || 7);
        let (dropped, seen) = futures::join!(dropped, patient);
        assert!(dropped.is_err());
        assert_eq!(seen, 7);
    }
}
