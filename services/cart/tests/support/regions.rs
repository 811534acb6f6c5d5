//! Two regions: two databases, two services, and a link between them that a test connects and cuts.

use std::time::Duration;

use cart::replication::Replica;
use cart::replication::receive::ReplicationGrpc;
use cart::replication::ship::{peer, ship};
use chassis::client::Dependency;
use contracts::cart::v1::cart_replication_service_server::CartReplicationServiceServer;
use ids::Region;
use sqlx::{ConnectOptions as _, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Shopper;

/// One shopper's cart in two regions.
pub struct Regions {
    pub east: Side,
    pub west: Side,
    link: Option<CancellationToken>,
}

pub struct Side {
    pub shopper: Shopper,
    pub replica: Replica,
    url: String,
}

impl Regions {
    /// Two regions that are not connected yet; `pool` becomes east's.
    pub async fn new(pool: PgPool) -> Self {
        let west_pool = another_database(&pool).await;
        let shopper = Shopper::in_region(pool, Region::East, None).await;
        let west = Shopper::in_region(west_pool, Region::West, Some(&shopper.owner_id)).await;
        assert_eq!(shopper.cart_id, west.cart_id, "one request makes one cart");
        Self { east: Side::serve(shopper).await, west: Side::serve(west).await, link: None }
    }

    /// Ships both ways from now on.
    pub fn connect(&mut self) {
        let token = CancellationToken::new();
        for (from, to) in [(&self.east, &self.west), (&self.west, &self.east)] {
            let to = Dependency::new("peer-cart", &to.url, peer()).unwrap();
            tokio::spawn(ship(from.shopper.pool.clone(), to, from.replica.clone(), token.clone()));
        }
        self.link = Some(token);
    }

    /// East's database goes on as another replica: new processes.
    pub async fn east_goes_on_as(&mut self, replica: Replica) {
        let service = self.east.shopper.process_of(replica.clone());
        let shopper = Shopper { service, replica, ..self.east.shopper.clone() };
        self.east = Side::serve(shopper).await;
    }

    /// Ships no more.
    pub fn cut(&mut self) {
        self.link.take().unwrap().cancel();
    }

    /// Waits until both regions store the same bytes for every cart.
    pub async fn converge(&self) {
        eventually("the regions agree", async || self.east.bytes().await == self.west.bytes().await).await;
    }
}

impl Side {
    /// Waits until a request of a client is known here. Its reply travels with the operation, and a repair may bring the state first.
    pub async fn knows(&self, key: &str) {
        let known = async || {
            sqlx::query_scalar("select exists (select 1 from cart_operation where operation_key = 'client:' || $1)")
                .bind(key)
                .fetch_one(&self.shopper.pool)
                .await
                .unwrap()
        };
        eventually("the request is known", known).await;
    }

    /// Where its replication answers.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn serve(shopper: Shopper) -> Self {
        let replica = shopper.replica.clone();
        let service = ReplicationGrpc::new(shopper.pool.clone(), replica.clone(), CancellationToken::new());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = tonic::transport::Server::builder().add_service(CartReplicationServiceServer::new(service));
        tokio::spawn(served.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
        Self { shopper, replica, url }
    }

    /// Everything that must be the same in both regions.
    pub async fn bytes(
        &self,
    ) -> Vec<(Uuid, Vec<u8>, Vec<u8>, i32, Vec<String>, Vec<Vec<u8>>, Vec<String>, Vec<String>)> {
        sqlx::query_as(
            "select c.cart_id, c.context, c.address, c.line_count,
                 array(select offer_id from cart_line l where l.cart_id = c.cart_id order by offer_id),
                 array(select line from cart_line l where l.cart_id = c.cart_id order by offer_id),
                 array(select order_id || state from cart_checkout k where k.cart_id = c.cart_id order by order_id),
                 array(select concat_ws(' ', offer_id, first_order_id, second_order_id, quantity)
                       from cart_ordered_twice t where t.cart_id = c.cart_id order by 1)
             from cart c order by c.cart_id",
        )
        .fetch_all(&self.shopper.pool)
        .await
        .unwrap()
    }
}

/// Asks again and again until `holds`, for at most half a minute.
pub async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not within half a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A second database beside that of the test, which is left behind on the throw-away server.
async fn another_database(pool: &PgPool) -> PgPool {
    let name = format!("west_{}", Uuid::new_v4().simple());
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(pool).await.unwrap();
    let options = pool.connect_options().as_ref().clone().database(&name);
    let url = options.to_url_lossy();
    let west = PgPool::connect(url.as_str()).await.unwrap();
    cart::MIGRATIONS.run(&west).await.unwrap();
    west
}
