//! A payment service with everything around it.

use std::sync::Arc;
use std::time::Duration;

use chassis::breaker::BreakerConfig;
use ids::{OrderId, RefundId, Region};
use money::Money;
use outbox::Handler as _;
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::provider::FakeProvider;
use crate::domain::{CardToken, Share, Shares, Terms};
use crate::driver::Driver;
use crate::psp::{ApiKey, ClientConfig, GuardConfig, HttpProvider};
use crate::store::{RefundRequest, Store};
use crate::workers::{ShippedOrders, drive_due};

/// How long a silent provider is waited for here. Long enough for a busy machine, short enough for a test.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_millis(400);

#[derive(Clone)]
pub(super) struct World {
    pub pool: PgPool,
    pub provider: FakeProvider,
    pub driver: Driver<HttpProvider>,
}

/// A client of whatever is at `url`. Its breaker stays closed unless asked otherwise.
pub(super) fn client(url: &str, breaker: BreakerConfig) -> Arc<HttpProvider> {
    Arc::new(
        HttpProvider::new(ClientConfig {
            url: url.to_owned(),
            api_key: ApiKey::new("sk_test"),
            connect_timeout: REQUEST_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            guard: GuardConfig { breaker, ..GuardConfig::default() },
        })
        .unwrap(),
    )
}

pub(super) fn never_opens() -> BreakerConfig {
    BreakerConfig { calls_min: u32::MAX, ..BreakerConfig::default() }
}

impl World {
    pub async fn new(pool: PgPool) -> Self {
        chassis::migrate::run(&pool, &[&outbox::MIGRATIONS, &crate::MIGRATIONS]).await.unwrap();
        let provider = FakeProvider::default();
        let url = provider.start().await;
        Self::at(pool, provider, &url)
    }

    /// With its driver at a provider of another kind; the fake one is called by nobody.
    pub fn at(pool: PgPool, provider: FakeProvider, url: &str) -> Self {
        let client = client(url, never_opens());
        let driver = Driver::new(Store::new(pool.clone(), Region::East), client, 1_000);
        Self { pool, provider, driver }
    }

    pub fn store(&self) -> &Store {
        self.driver.store()
    }

    /// Authorises and captures an order of these shares, and returns it.
    pub async fn captured(&self, shares: &[(&str, i64)]) -> OrderId {
        let order = OrderId::generate();
        self.driver.authorise(order, &terms("tok_visa", shares)).await.unwrap();
        self.ship(order).await.unwrap();
        self.work_until_idle().await;
        assert_eq!(self.state(order).await, "captured");
        order
    }

    /// Delivers `order.shipped.v1`.
    pub async fn ship(&self, order: OrderId) -> Result<(), outbox::HandleError> {
        let message = contracts::order::v1::OrderShipped { order_id: order.to_string() };
        let event = outbox::NewEvent::new("order.shipped.v1", "order", order.to_string(), &message);
        let received = outbox::Received {
            id: ids::EventId::generate(),
            event_type: event.event_type.to_owned(),
            home_region: Region::East,
            aggregate_id: event.aggregate_id,
            payload: event.payload.into(),
            traceparent: None,
            occurred_at: chrono::Utc::now(),
        };
        let mut tx = self.pool.begin().await.unwrap();
        ShippedOrders.handle(&mut tx, &received).await?;
        tx.commit().await.unwrap();
        Ok(())
    }

    /// Makes everything in flight due now, as if its lease or backoff had ended.
    pub async fn pass_time(&self) {
        for table in ["payment", "refund"] {
            let sql = format!("update {table} set due_at = now() - interval '1 second' where due_at is not null");
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
        }
    }

    /// Runs the workers until nothing is in flight, passing time as needed.
    pub async fn work_until_idle(&self) {
        let (token, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
        let worker = tokio::spawn(drive_due(self.driver.clone(), Arc::clone(&wake), token.clone()));
        tokio::time::timeout(Duration::from_secs(30), async {
            while self.in_flight().await > 0 {
                self.skip_backoffs().await;
                wake.notify_one();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .expect("the workers come to rest");
        token.cancel();
        worker.await.unwrap().unwrap();
    }

    /// Ends the backoffs, not the leases: no two turns on one row.
    async fn skip_backoffs(&self) {
        for table in ["payment", "refund"] {
            let sql = format!("update {table} set due_at = now() where due_at > now() and claim is null");
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
        }
    }

    pub async fn in_flight(&self) -> i64 {
        self.count(
            "select (select count(*) from payment where due_at is not null)
                  + (select count(*) from refund where due_at is not null)",
        )
        .await
    }

    pub async fn state(&self, order: OrderId) -> String {
        sqlx::query_scalar("select state from payment where order_id = $1")
            .bind(order.as_uuid())
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }

    /// The balance of every account that has one, as `account=minor units`.
    pub async fn balances(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select account_id || '=' || sum(amount_minor) from posting
             group by account_id having sum(amount_minor) <> 0 order by account_id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// The types of the events in the outbox, in order.
    pub async fn events(&self) -> Vec<String> {
        sqlx::query_scalar("select type from outbox order by position").fetch_all(&self.pool).await.unwrap()
    }
}

pub(super) fn shares(shares: &[(&str, i64)]) -> Shares {
    let share = |&(seller, amount_minor): &(&str, i64)| Share { seller: seller.parse().unwrap(), amount_minor };
    Shares::new(shares.iter().map(share).collect()).unwrap()
}

pub(super) fn terms(card: &str, parts: &[(&str, i64)]) -> Terms {
    let shares = shares(parts);
    let amount = Money::new(shares.total_minor(), "GBP".parse().unwrap());
    Terms::new(amount, CardToken::new(card).unwrap(), shares).unwrap()
}

pub(super) fn refund(order: OrderId, parts: &[(&str, i64)]) -> RefundRequest {
    RefundRequest { refund: RefundId::generate(), order, shares: shares(parts) }
}
