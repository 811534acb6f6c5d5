//! Reading carts to show them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ids::CartId;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use super::flights::Flights;
use super::shared::{Lease, Looked, SharedCache};
use super::value::Visible;
use super::xfetch::{BETA, refreshes_early};
use crate::domain::view;
use crate::grpc::wire;
use crate::store::{self, StoreError};

/// Pauses of who waits for another process' load: 63 ms together, many times what a load takes. Then they load for themselves, one per
/// cart and process.
const WAITS_MS: [u64; 6] = [1, 2, 4, 8, 16, 32];

/// What a read gives; `None` when there is no such cart. Shared by all who asked at the same time.
pub type Read = Result<Option<Arc<Visible>>, Arc<StoreError>>;

/// Reads visible carts: single flight in the process, then the cache that the region shares, then the database.
#[derive(Clone)]
pub struct CartReader(Arc<Inner>);

struct Inner {
    pool: PgPool,
    shared: Option<Arc<SharedCache>>,
    flights: Option<Flights<CartId, Read>>,
    /// Loads at once: three quarters of the pool, so that a cold cache leaves connections to those who write.
    room: Semaphore,
    loads: AtomicU64,
}

impl CartReader {
    /// Reads from `pool`, through `shared` if there is one.
    pub fn new(pool: PgPool, shared: Option<Arc<SharedCache>>) -> Self {
        Self::build(pool, shared, Some(Flights::default()))
    }

    /// Without the single flight in the process: for the test that shows what it is good for.
    #[doc(hidden)]
    pub fn without_single_flight(pool: PgPool) -> Self {
        Self::build(pool, None, None)
    }

    fn build(pool: PgPool, shared: Option<Arc<SharedCache>>, flights: Option<Flights<CartId, Read>>) -> Self {
        let connections = pool.options().get_max_connections() as usize;
        let room = Semaphore::new((connections * 3 / 4).max(1));
        Self(Arc::new(Inner { pool, shared, flights, room, loads: AtomicU64::new(0) }))
    }

    /// The visible cart, as it is after every change that was answered before this call, in any process of the region.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn read(&self, cart_id: CartId) -> Read {
        match &self.0.flights {
            Some(flights) => flights.join(cart_id, || self.0.through_cache(cart_id)).await,
            None => self.0.through_cache(cart_id).await,
        }
    }

    /// This process has changed the cart. Call it before the change is answered.
    pub async fn changed(&self, cart_id: CartId) {
        if let Some(shared) = &self.0.shared {
            shared.evict_own(cart_id).await;
        }
    }

    /// Loads from the database since the start.
    pub fn loads(&self) -> u64 {
        self.0.loads.load(Ordering::Relaxed)
    }
}

impl Inner {
    async fn through_cache(&self, cart_id: CartId) -> Read {
        let Some(shared) = &self.shared else { return self.load(cart_id).await };
        for wait_ms in WAITS_MS {
            match shared.look(cart_id).await {
                Looked::Hit { visible, load_time, remaining } => {
                    // `random` is below 1 and may be 0; the rule wants above 0.
                    if refreshes_early(remaining, load_time, BETA, 1.0 - rand::random::<f64>())
                        && let Some(lease) = shared.lease(cart_id).await
                    {
                        count("early");
                        return self.load_and_fill(shared, cart_id, lease).await;
                    }
                    count("hit");
                    return Ok(Some(Arc::new(visible)));
                }
                Looked::Leased(lease) => {
                    count("miss");
                    return self.load_and_fill(shared, cart_id, lease).await;
                }
                Looked::Busy => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                Looked::Away => break,
            }
        }
        count("bypass");
        self.load(cart_id).await
    }

    async fn load_and_fill(&self, shared: &SharedCache, cart_id: CartId, lease: Lease) -> Read {
        let began = Instant::now();
        let read = self.load(cart_id).await;
        let loaded = read.as_ref().ok().and_then(Option::as_deref).map(|visible| (visible, began.elapsed()));
        shared.fill(cart_id, lease, loaded).await;
        read
    }

    async fn load(&self, cart_id: CartId) -> Read {
        // Never closed, so never an error.
        let _room = self.room.acquire().await;
        self.loads.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("cart_loads_total").increment(1);
        let row = store::load(&self.pool, cart_id).await.map_err(Arc::new)?;
        let visible = |row: store::CartRow| Visible {
            owner_id: row.owner_id,
            cart: wire::cart(cart_id, &view(&row.state, &row.undecided_cuts), &row.ordered_twice),
        };
        Ok(row.map(visible).map(Arc::new))
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("cart_cache_reads_total", "outcome" => outcome).increment(1);
}
