//! A process of the cart service with everything that makes reads fast: the change feed and the cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cart::cache::{CartReader, SharedCache};
use cart::changes::{ChangeFeed, Watchers};
use cart::grpc::CartGrpc;
use contracts::cart::v1::cart_service_server::CartService as _;
use contracts::cart::v1::{AddLineRequest, Cart, GetCartRequest, WatchCartRequest, WatchCartResponse};
use futures::stream::{BoxStream, StreamExt as _};
use sqlx::PgPool;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Status};

use super::Shopper;

/// Longer than any test reads.
const TIME_TO_LIVE: Duration = Duration::from_secs(600);

/// The server the tests were given, as host and port.
pub fn redis_address() -> String {
    let url = std::env::var("TEST_REDIS_URL").unwrap();
    url.trim_start_matches("redis://").trim_end_matches('/').to_owned()
}

/// A Redis database that no other test of this binary uses, empty.
pub struct RedisDb(u32);

impl RedisDb {
    /// There are 16; the service's own is the first.
    pub async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = Self(1 + NEXT.fetch_add(1, Ordering::Relaxed) % 15);
        database.command(&["FLUSHDB"]).await;
        database
    }

    pub fn at(&self, address: &str) -> String {
        format!("redis://{address}/{}", self.0)
    }

    pub async fn command(&self, command: &[&str]) -> redis::Value {
        let client = redis::Client::open(self.at(&redis_address())).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut call = redis::cmd(command[0]);
        command[1..].iter().for_each(|argument| {
            call.arg(argument);
        });
        call.query_async(&mut connection).await.unwrap()
    }
}

/// One process.
pub struct Process {
    pub service: CartGrpc,
    pub reader: CartReader,
    pub draining: CancellationToken,
    _ends: DropGuard,
}

impl Process {
    /// Starts it, and waits until it uses the cache.
    pub async fn start(shopper: &Shopper, redis: &RedisDb) -> Self {
        let process = Self::build(shopper, Some(redis.at(&redis_address())), &shopper.pool, Watchers::default());
        process.uses_cache(shopper).await;
        process
    }

    /// Starts it with a Redis, a way to Postgres for its feed, and seats for watchers of the test's choice.
    pub fn build(shopper: &Shopper, redis_url: Option<String>, feed: &PgPool, watchers: Watchers) -> Self {
        let cache = redis_url.map(|url| Arc::new(SharedCache::new(&url, TIME_TO_LIVE).unwrap()));
        let token = CancellationToken::new();
        let feed = ChangeFeed::new(feed, cache.clone(), watchers.clone());
        let (feed_token, cache_token) = (token.clone(), token.clone());
        tokio::spawn(async move { feed.run(feed_token).await });
        let reader = CartReader::new(shopper.pool.clone(), cache.clone());
        if let Some(cache) = cache {
            tokio::spawn(async move { cache.keep(cache_token).await });
        }
        let draining = CancellationToken::new();
        let service = shopper.another_process().with_reads(reader.clone(), watchers, draining.clone());
        Self { service, reader, draining, _ends: token.drop_guard() }
    }

    /// Waits until a read makes no load.
    pub async fn uses_cache(&self, shopper: &Shopper) {
        within(Duration::from_secs(20), "the cache is used", async || {
            self.get(shopper).await;
            let before = self.reader.loads();
            self.get(shopper).await;
            self.reader.loads() == before
        })
        .await;
    }

    pub async fn try_get(&self, shopper: &Shopper) -> Result<Cart, Status> {
        let request = GetCartRequest { cart_id: shopper.cart_id.clone(), owner_id: shopper.owner_id.clone() };
        Ok(self.service.get_cart(Request::new(request)).await?.into_inner().cart.unwrap())
    }

    pub async fn get(&self, shopper: &Shopper) -> Cart {
        self.try_get(shopper).await.unwrap()
    }

    /// Units in the cart, over all lines.
    pub async fn units(&self, shopper: &Shopper) -> i64 {
        units_of(&self.get(shopper).await)
    }

    /// Adds units of `offer-1`.
    pub async fn add(&self, shopper: &Shopper, key: &str, quantity: i64) {
        let request: AddLineRequest = shopper.add_request(key, "offer-1", quantity);
        self.service.add_line(Request::new(request)).await.unwrap();
    }

    pub async fn try_watch(
        &self,
        shopper: &Shopper,
    ) -> Result<BoxStream<'static, Result<WatchCartResponse, Status>>, Status> {
        let request = WatchCartRequest { cart_id: shopper.cart_id.clone(), owner_id: shopper.owner_id.clone() };
        Ok(self.service.watch_cart(Request::new(request)).await?.into_inner())
    }

    /// A stream, once changes are being heard of.
    pub async fn watch(&self, shopper: &Shopper) -> BoxStream<'static, Result<Cart, Status>> {
        within(Duration::from_secs(20), "changes are heard of", async || {
            !self.try_watch(shopper).await.is_err_and(|status| status.code() == tonic::Code::Unavailable)
        })
        .await;
        let stream = self.try_watch(shopper).await.unwrap();
        stream.map(|item| item.map(|response| response.cart.unwrap())).boxed()
    }
}

pub fn units_of(cart: &Cart) -> i64 {
    cart.lines.iter().map(|line| line.quantity).sum()
}

/// Asks again and again until `holds`, for at most `bound`.
pub async fn within(bound: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + bound;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {bound:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Empties the cart as an operator would: with SQL, past every line of the service. `durable` is a value of `synchronous_commit`: the
/// throw-away server lets commits lie in memory for a while, and followers of the log hear of them only then; a real one does not.
pub async fn empty_by_hand(shopper: &Shopper, durable: &'static str) {
    let mut transaction = shopper.pool.begin().await.unwrap();
    let set = sqlx::AssertSqlSafe(format!("set local synchronous_commit = {durable}"));
    sqlx::query(set).execute(&mut *transaction).await.unwrap();
    let emptied = sqlx::query("delete from cart_line where cart_id = $1::uuid").bind(&shopper.cart_id);
    assert!(emptied.execute(&mut *transaction).await.unwrap().rows_affected() > 0);
    transaction.commit().await.unwrap();
}
