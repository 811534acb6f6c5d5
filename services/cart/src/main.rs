//! The cart service.

use std::sync::Arc;

use cart::cache::{CacheConfig, CartReader};
use cart::catalog::Catalog;
use cart::changes::{ChangeFeed, Watchers};
use cart::grpc::CartGrpc;
use cart::replication::Replica;
use cart::replication::guard::keep_guard;
use cart::replication::receive::ReplicationGrpc;
use cart::replication::ship::{peer, ship};
use cart::workers::{PlacedOrders, settle_overdue_checkouts, trim_log, watch_lag};
use chassis::client::{Dependency, DependencyConfig};
use chassis::config::{DatabaseConfig, ServiceConfig};
use chassis::server::GrpcServer;
use chassis::shutdown::Shutdown;
use chassis::workers::Workers;
use clap::Parser;
use contracts::cart::v1::cart_replication_service_server::CartReplicationServiceServer;
use contracts::cart::v1::cart_service_server::CartServiceServer;
use outbox::Consumer;
use outbox::config::SpineConfig;

/// Carts that both regions can write.
#[derive(Parser)]
#[allow(clippy::large_enum_variant, reason = "parsed once")]
enum Command {
    /// Serve requests until SIGTERM.
    Serve(Config),
    /// Apply migrations and end.
    Migrate(DatabaseConfig),
    /// Go on under another replica number, which was never used, and end: what a restored database must do. Processes that serve end
    /// as well, and have the new number in their next life.
    Renumber(Renumber),
}

#[derive(clap::Args)]
struct Renumber {
    #[command(flatten)]
    database: DatabaseConfig,
    /// The number: above all that this region ever had, odd in east and even in west.
    #[arg(long)]
    to: u8,
}

#[derive(clap::Args)]
struct Config {
    #[command(flatten)]
    service: ServiceConfig,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    spine: SpineConfig,
    #[command(flatten)]
    cache: CacheConfig,
    /// Where the catalogue is, such as http://127.1.0.12:50051: names and prices are snapshotted from it.
    #[arg(long, env = "CATALOG_URL")]
    catalog_url: String,
    /// Where the order service is: asked for the fate of checkouts that nobody came back for.
    #[arg(long, env = "ORDER_URL")]
    order_url: String,
    /// Where the other region's cart service is: this region's changes are shipped there. Without it they are only logged.
    #[arg(long, env = "PEER_CART_URL")]
    peer_cart_url: Option<String>,
}

/// Serves, or applies migrations.
#[tokio::main]
pub async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Serve(config) => serve(config).await,
        Command::Renumber(Renumber { database, to }) => {
            let mut transaction = database.connect()?.begin().await?;
            // A day of operations is marked with the old number.
            sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
            sqlx::query("select cart_renumber($1)").bind(i32::from(to)).execute(&mut *transaction).await?;
            // no crash point: an operator's command, which is repeated.
            Ok(transaction.commit().await?)
        }
        Command::Migrate(config) => {
            Ok(chassis::migrate::run(&config.connect()?, &[&outbox::MIGRATIONS, &cart::MIGRATIONS]).await?)
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = chassis::telemetry::init("cart", &config.service)?;
    let shutdown = Shutdown::on_signals()?;
    let region = config.service.region;
    let unnumbered = config.database.connect()?;
    let Some(replica) = Replica::claim(&unnumbered, region, &shutdown.token()).await else { return Ok(()) };
    let pool = replica.sessions(&unnumbered);
    unnumbered.close().await;
    let catalog = Catalog::new(Dependency::new("catalog", &config.catalog_url, DependencyConfig::default())?);
    let orders = Dependency::new("order", &config.order_url, DependencyConfig::default())?;

    let cache = config.cache.build()?;
    let watchers = Watchers::default();
    let reader = CartReader::new(pool.clone(), cache.clone());

    let mut workers = Workers::new();
    let feed = Arc::new(ChangeFeed::new(&pool, cache.clone(), watchers.clone()));
    workers.spawn("cart-changes", move |token| {
        let feed = feed.clone();
        async move { feed.run(token).await }
    });
    if let Some(cache) = cache {
        workers.spawn("cart-cache", move |token| {
            let cache = cache.clone();
            async move { cache.keep(token).await }
        });
    }
    let placed = Consumer::new(pool.clone(), &config.spine, region, "cart", PlacedOrders::new(replica.clone()));
    let placed = Arc::new(placed);
    workers.spawn("placed-orders", move |token| {
        let placed = placed.clone();
        async move { placed.run(token).await }
    });
    let (store, own) = (pool.clone(), replica.id());
    workers
        .spawn("overdue-checkouts", move |token| settle_overdue_checkouts(store.clone(), orders.clone(), own, token));

    let other = config.peer_cart_url.as_deref().map(|url| Dependency::new("peer-cart", url, peer())).transpose()?;
    let (guarded, asked, own, ended) = (pool.clone(), other.clone(), replica.clone(), shutdown.token());
    workers
        .spawn("log-guard", move |token| keep_guard(guarded.clone(), asked.clone(), own.clone(), ended.clone(), token));
    if let Some(other) = other {
        let (pool, replica) = (pool.clone(), replica.clone());
        let watched = pool.clone();
        workers.spawn("lag", move |token| watch_lag(watched.clone(), region.peer(), token));
        workers.spawn("shipping", move |token| ship(pool.clone(), other.clone(), replica.clone(), token));
    }
    let store = pool.clone();
    workers.spawn("trimming", move |token| trim_log(store.clone(), region.peer(), token));

    let replication = ReplicationGrpc::new(pool.clone(), replica.clone(), shutdown.token());
    let carts = CartGrpc::new(pool, catalog, replica).with_reads(reader, watchers, shutdown.token());
    let served = GrpcServer::new(&config.service)
        .with_client_streams(&["/cart.v1.CartReplicationService/Replicate"])
        .add_service(CartServiceServer::new(carts))
        .add_service(CartReplicationServiceServer::new(replication))
        .serve(shutdown.token())
        .await;
    workers.stop(config.service.drain_grace()).await;
    telemetry.flush();
    Ok(served?)
}
