//! Two regions in one test database, each in a schema of its own, and the checks that hold in every test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::client::{Dependency, DependencyConfig};
use chassis::config::ServiceConfig;
use chassis::server::GrpcServer;
use chrono::Utc;
use contracts::catalog::v1::catalog_service_server::CatalogServiceServer;
use contracts::inventory::v1::inventory_service_server::InventoryServiceServer;
use ids::{OfferId, OrderId, Region};
use inventory::catalog::{CatalogGrpc, Offer};
use inventory::domain::{Grant, Lines};
use inventory::grpc::{InventoryGrpc, Peer, PeerError, PeerRegion};
use inventory::store::{self, Level, PendingTransfer, Reservation};
use money::Money;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Row as _, Transaction};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;
use uuid::Uuid;

/// Connections of each region's pool, open from the start: a pool that is still opening its second connection does all the
/// work one after the other on its first, and nothing contends. Few enough for many tests at once.
const CONNECTIONS: u32 = 5;

/// One region: its database and, when served, its address.
pub struct Site {
    pub region: Region,
    pub pool: PgPool,
}

impl Site {
    /// The region with its tables, in a schema named after it.
    pub async fn new(options: &PgConnectOptions, region: Region) -> Self {
        let mut connection = PgConnection::connect_with(options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create schema {region}"))).execute(&mut connection).await.unwrap();
        let options = options.clone().options([("search_path", region.name())]);
        let pool = PgPoolOptions::new()
            .min_connections(CONNECTIONS)
            .max_connections(CONNECTIONS)
            .connect_with(options)
            .await
            .unwrap();
        chassis::migrate::run(&pool, &[&outbox::MIGRATIONS, &inventory::MIGRATIONS]).await.unwrap();
        Self { region, pool }
    }

    /// Receives goods, making the offers first.
    pub async fn receive(&self, goods: &[(&str, i64)]) {
        let offers: Vec<Offer> = goods.iter().map(|(id, _)| offer(id)).collect();
        inventory::catalog::store::upsert(&self.pool, &offers, None).await.unwrap();
        let received = store::receive(&self.pool, Uuid::now_v7(), &lines(goods)).await.unwrap();
        assert_eq!(received, store::ReceiveOutcome::Received);
    }

    /// Available, reserved and sold units of an offer.
    pub async fn level(&self, offer_id: &str) -> (i64, i64, i64) {
        let offer_id: OfferId = offer_id.parse().unwrap();
        let Level { available, reserved, sold } = store::levels(&self.pool, &[offer_id]).await.unwrap()[0];
        (available, reserved, sold)
    }

    /// Somebody holds the stock of an offer, until the transaction ends.
    pub async fn hold_stock_of(&self, offer_id: &str) -> Transaction<'static, Postgres> {
        let mut held = self.pool.begin().await.unwrap();
        let locked = sqlx::query("select 1 from stock where offer_id = $1 for update").bind(offer_id);
        assert_eq!(locked.fetch_all(&mut *held).await.unwrap().len(), 1);
        held
    }

    /// Serves both services of this region, asking `peer`, until the guard is dropped. Returns the address.
    pub async fn serve<P: Peer + Clone>(&self, peer: P) -> (String, DropGuard) {
        let listener = TcpListener::bind("127.23.0.12:0").await.unwrap();
        let admin = TcpListener::bind("127.23.0.12:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = ServiceConfig {
            region: self.region,
            listen: listener.local_addr().unwrap(),
            admin_listen: admin.local_addr().unwrap(),
            otlp_endpoint: None,
            log: "warn".to_owned(),
            drain_grace_ms: 1_000,
            requests_in_flight_max: 512,
            connections_max: 4_096,
            client_share_percent: 90,
        };
        let token = CancellationToken::new();
        let service = InventoryGrpc::new(self.pool.clone(), self.region, Duration::from_secs(60), peer);
        let server = GrpcServer::new(&config)
            .add_service(InventoryServiceServer::new(service))
            .add_service(CatalogServiceServer::new(CatalogGrpc::new(self.pool.clone())));
        tokio::spawn(server.serve_on(listener, admin, token.clone()));
        (url, token.drop_guard())
    }
}

/// East, which sells in most tests, and west, whose grants it asks for over gRPC.
pub struct TwoRegions {
    pub east: Site,
    pub west: Site,
    pub peer_of_east: FaultyPeer,
    _west_server: DropGuard,
}

impl TwoRegions {
    pub async fn new(options: &PgConnectOptions) -> Self {
        let east = Site::new(options, Region::East).await;
        let west = Site::new(options, Region::West).await;
        let (url, guard) = west.serve(NoPeer).await;
        let dependency = Dependency::new("west", &url, DependencyConfig::default()).unwrap();
        let peer_of_east = FaultyPeer::new(PeerRegion::new(dependency, Region::East));
        Self { east, west, peer_of_east, _west_server: guard }
    }

    /// Units of every offer in both regions, plus what is on its way, equals what was received.
    pub async fn assert_conserved(&self) {
        for site in [&self.east, &self.west] {
            assert_books_balance(&site.pool).await;
        }
        let total = |sql: &'static str, site: &Site| {
            let pool = site.pool.clone();
            async move { sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap() }
        };
        let held = "select coalesce(sum(available + reserved + sold), 0)::bigint from stock";
        let received = "select coalesce(sum(units), 0)::bigint from stock_receipt_line";
        let credited = "select coalesce(sum(granted), 0)::bigint from rights_transfer_in_line";
        let granted = "select coalesce(sum(granted_units), 0)::bigint from rights_transfer_out";
        let (east, west) = (&self.east, &self.west);
        let on_its_way = total(granted, west).await - total(credited, east).await;
        assert!(on_its_way >= 0, "more was credited than granted: {on_its_way}");
        let in_the_world = total(held, east).await + total(held, west).await + on_its_way;
        assert_eq!(in_the_world, total(received, east).await + total(received, west).await);
    }
}

/// Received + in - out = available + reserved + sold for every offer, and every held or sold unit has its reservation.
pub async fn assert_books_balance(pool: &PgPool) {
    let wrong = sqlx::query(
        r#"
        with entry as (
            select offer_id, units from stock_receipt_line
            union all select offer_id, granted from rights_transfer_in_line
            union all select offer_id, -granted from rights_transfer_out_line
            union all select offer_id, -(available + reserved + sold) from stock
        ), hold as (
            select line.offer_id,
                coalesce(sum(units) filter (where state = 'reserved'), 0) as reserved,
                coalesce(sum(units) filter (where state = 'committed'), 0) as sold
            from reservation_line as line join reservation using (order_id)
            group by line.offer_id
        )
        select offer_id, 'balance ' || sum(units) as wrong from entry group by offer_id having sum(units) <> 0
        union all
        select offer_id, 'holds' from stock left join hold using (offer_id)
        where stock.reserved <> coalesce(hold.reserved, 0) or stock.sold <> coalesce(hold.sold, 0)
        "#,
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let wrong: Vec<(String, String)> = wrong.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(wrong, []);
}

/// The other region with a bad link: the next calls meet the faults, in order; then it works.
#[derive(Clone)]
pub struct FaultyPeer {
    real: PeerRegion,
    replies_to_lose: Arc<AtomicUsize>,
    calls_to_refuse: Arc<AtomicUsize>,
    replies_to_hold: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl FaultyPeer {
    fn new(real: PeerRegion) -> Self {
        let zero = || Arc::new(AtomicUsize::new(0));
        Self { real, replies_to_lose: zero(), calls_to_refuse: zero(), replies_to_hold: zero(), calls: zero() }
    }

    /// The next `count` calls never arrive.
    pub fn refuse_calls(&self, count: usize) {
        self.calls_to_refuse.store(count, Ordering::SeqCst);
    }

    /// The next `count` calls do their work over there, and the reply is lost.
    pub fn lose_replies(&self, count: usize) {
        self.replies_to_lose.store(count, Ordering::SeqCst);
    }

    /// The next `count` calls do their work over there and then never return, so that the caller can be killed.
    pub fn hold_replies(&self, count: usize) {
        self.replies_to_hold.store(count, Ordering::SeqCst);
    }

    /// Calls made so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn take_one(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn no_answer() -> PeerError {
    PeerError::NoAnswer(Box::new(Status::unavailable("the link is down")))
}

impl Peer for FaultyPeer {
    async fn transfer_rights(&self, transfer: &PendingTransfer) -> Result<Grant, PeerError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if take_one(&self.calls_to_refuse) {
            return Err(no_answer());
        }
        let answer = self.real.transfer_rights(transfer).await;
        if take_one(&self.replies_to_lose) {
            return Err(no_answer());
        }
        if take_one(&self.replies_to_hold) {
            std::future::pending::<()>().await;
        }
        answer
    }
}

/// A region that is never there.
#[derive(Clone)]
pub struct NoPeer;

impl Peer for NoPeer {
    async fn transfer_rights(&self, _: &PendingTransfer) -> Result<Grant, PeerError> {
        Err(no_answer())
    }
}

pub fn lines(lines: &[(&str, i64)]) -> Lines {
    Lines::parse(lines.iter().copied()).unwrap()
}

/// A reservation for a new order.
pub fn order_of(wanted: &[(&str, i64)]) -> Reservation {
    let lines = lines(wanted);
    let digest = lines.digest("");
    Reservation { order_id: OrderId::generate(), lines, digest, expires_at: Utc::now() + Duration::from_secs(60) }
}

pub fn offer(id: &str) -> Offer {
    let price = Money::new(255, "GBP".parse().unwrap());
    let attributes = [("colour".to_owned(), "white".to_owned())].into();
    Offer::new(id.parse().unwrap(), "seller-1".parse().unwrap(), format!("offer {id}"), price, attributes).unwrap()
}
