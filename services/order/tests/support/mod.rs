//! What the tests share: a world of in-memory callees, the sagas over it, and a fresh database.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

pub mod world;

use std::sync::Arc;
use std::time::Duration;

use ids::{CartId, CustomerId, OrderId, Region};
use order::domain::{CardToken, CutLine, DeliveryAddress, Order, PlaceRequest};
use order::sagas::place_order::{PlaceError, Settings};
use order::sagas::{Callees, Patience, Sagas};
use order::store::Store;
use order::workers::Queue;
use order::workers::recovery::Recovery;
use order::workers::refunds::Refunds;
use sqlx::PgPool;
use tokio::time::Instant;

#[allow(unused_imports, reason = "each test binary uses its part")]
pub use world::{Fault, Method, World};

/// The service without its edge.
#[derive(Clone)]
pub struct App {
    pub pool: PgPool,
    pub world: Arc<World>,
    pub sagas: Sagas,
    pub recovery: Recovery,
    settings: Settings,
}

impl App {
    /// Over a fresh world and a migrated database.
    pub fn new(pool: &PgPool) -> Self {
        Self::with_limit(pool, Arc::new(World::default()), Settings::default().placement_limit)
    }

    /// Over a world that is there already.
    pub fn with_limit(pool: &PgPool, world: Arc<World>, placement_limit: Duration) -> Self {
        Self::with(pool, world, Settings { placement_limit, ..Settings::default() })
    }

    /// With sagas that are parked after so many failed turns.
    pub fn with_attempts(pool: &PgPool, world: Arc<World>, attempts_max: u32) -> Self {
        Self::with(pool, world, Settings { patience: Patience { attempts_max }, ..Settings::default() })
    }

    fn with(pool: &PgPool, world: Arc<World>, settings: Settings) -> Self {
        Self::in_region(pool, Region::East, world, settings)
    }

    /// In a region.
    pub fn of_region(pool: &PgPool, region: Region) -> Self {
        Self::in_region(pool, region, Arc::new(World::default()), Settings::default())
    }

    fn in_region(pool: &PgPool, region: Region, world: Arc<World>, settings: Settings) -> Self {
        let store = Store::new(pool.clone(), region);
        let callees = Callees { cart: world.clone(), inventory: world.clone(), payment: world.clone() };
        let sagas = Sagas::new(store, callees, settings);
        let recovery = Recovery::new(sagas.clone());
        Self { pool: pool.clone(), world, sagas, recovery, settings }
    }

    pub async fn place(&self, request: &PlaceRequest) -> Result<Order, PlaceError> {
        self.sagas.place.place(request, soon()).await
    }

    /// A new process over the same stores and neighbours.
    pub fn restarted(&self) -> Self {
        Self::with(&self.pool, self.world.clone(), self.settings)
    }

    /// What a restarted process does: waits for the leases of the dead to lapse, and drives on until nothing is to be driven.
    pub async fn recover(&self) {
        assert_eq!(self.finish().await, 0, "orders or refunds are parked");
    }

    /// The same, and returns how many orders and refunds are parked.
    pub async fn finish(&self) -> i64 {
        let refunds = Refunds::new(self.sagas.clone());
        let finished = async {
            loop {
                self.let_leases_lapse().await;
                for task in self.recovery.claim(10).await.unwrap() {
                    self.recovery.turn(task).await;
                }
                for task in refunds.claim(10).await.unwrap() {
                    refunds.turn(task).await;
                }
                // Not what was claimed: the transaction of a task that was dropped may hold its row a little longer.
                if self.driven().await == 0 {
                    let (orders, refunds) = self.sagas.store.parked_count().await.unwrap();
                    return orders + refunds;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        // A failure here: recovery does not come to an end.
        tokio::time::timeout(Duration::from_secs(20), finished).await.unwrap()
    }

    async fn driven(&self) -> i64 {
        sqlx::query_scalar(
            "select (select count(*) from customer_order where drive_after is not null)
                  + (select count(*) from order_return where drive_after is not null)",
        )
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    pub async fn let_leases_lapse(&self) {
        for table in ["customer_order", "order_return"] {
            let lapse =
                format!("update {table} set drive_after = now() - interval '1 second' where drive_after is not null");
            sqlx::query(sqlx::AssertSqlSafe(lapse)).execute(&self.pool).await.unwrap();
        }
    }

    /// As if who has claimed something went on renewing: for a test in which nobody is to claim it again.
    pub async fn let_leases_last(&self) {
        let last = "update customer_order set drive_after = now() + interval '1 minute' where drive_after is not null";
        sqlx::query(last).execute(&self.pool).await.unwrap();
    }

    /// Takes a placed order past its shipping, and its capture.
    pub async fn ship(&self, id: OrderId) {
        sqlx::query("update customer_order set ship_at = now() where order_id = $1")
            .bind(id.as_uuid())
            .execute(&self.pool)
            .await
            .unwrap();
        assert_eq!(self.sagas.store.ship_due(100).await.unwrap(), 1);
        self.world.capture(id);
    }

    pub async fn outbox(&self, id: OrderId) -> Vec<String> {
        sqlx::query_scalar("select type from outbox where aggregateid = $1 order by position")
            .bind(id.to_string())
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }
}

/// Applies the migrations as `order migrate` does.
pub async fn migrate(pool: &PgPool) {
    chassis::migrate::run(pool, &[&outbox::MIGRATIONS, &order::MIGRATIONS]).await.unwrap();
}

/// A deadline that leaves room for two tries.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_millis(1_500)
}

/// A request of a new customer for a new cart.
pub fn request() -> PlaceRequest {
    PlaceRequest {
        customer: CustomerId::generate(),
        idempotency_key: "key-1".parse().unwrap(),
        cart: CartId::generate(),
        cart_version: "v1".to_owned(),
        card_token: CardToken::new("tok_visa".to_owned()),
        delivery: DeliveryAddress {
            recipient: "Ada".to_owned(),
            street: "St James's Square 12".to_owned(),
            city: "London".to_owned(),
            postal_code: "SW1Y".to_owned(),
            country: "United Kingdom".to_owned(),
        },
        expected_total: None,
    }
}

pub fn cut_line(offer: &str, seller: &str, price_minor: i64, currency: &str, quantity: i64) -> CutLine {
    CutLine {
        offer: offer.parse().unwrap(),
        seller: seller.parse().unwrap(),
        title: offer.to_owned(),
        currency: currency.parse().unwrap(),
        prices: order::domain::Prices::new([(price_minor, quantity)]).unwrap(),
    }
}
