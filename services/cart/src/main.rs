//! The cart service.

use std::sync::Arc;

use cart::cache::{CacheConfig, CartReader};
use cart::catalog::Catalog;
use cart::changes::{ChangeFeed, Watchers};
use cart::grpc::CartGrpc;
use cart::replication::Replica;
use cart::replication::receive::ReplicationGrpc;
use cart::replication::ship::{peer, ship};
use cart::workers::{PlacedOrders, settle_overdue_checkouts, trim_log};
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
        Command::Migrate(config) => {
            Ok(chassis::migrate::run(&config.connect()?, &[&outbox::MIGRATIONS, &cart::MIGRATIONS]).await?)
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = chassis::telemetry::init("cart", &config.service)?;
    let shutdown = Shutdown::on_signals()?;
    let region = config.service.region;
    let pool = config.database.connect()?;
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
    let replica = Replica::of(region);
    let placed = Consumer::new(pool.clone(), &config.spine, region, "cart", PlacedOrders::new(replica.clone()));
    let placed = Arc::new(placed);
    workers.spawn("placed-orders", move |token| {
        let placed = placed.clone();
        async move { placed.run(token).await }
    });
    let store = pool.clone();
    workers.spawn("overdue-checkouts", move |token| settle_overdue_checkouts(store.clone(), orders.clone(), token));

    if let Some(url) = &config.peer_cart_url {
        let other = Dependency::new("peer-cart", url, peer())?;
        let (pool, replica) = (pool.clone(), replica.clone());
        workers.spawn("shipping", move |token| ship(pool.clone(), other.clone(), replica.clone(), token));
    }
    let store = pool.clone();
    workers.spawn("trimming", move |token| trim_log(store.clone(), region.peer(), token));

    let replication = ReplicationGrpc::new(pool.clone(), replica.clone(), shutdown.token());
    let carts = CartGrpc::new(pool, catalog, replica).with_reads(reader, watchers, shutdown.token());
    let served = GrpcServer::new(&config.service)
        .add_service(CartServiceServer::new(carts))
        .add_service(CartReplicationServiceServer::new(replication))
        .serve(shutdown.token())
        .await;
    workers.stop(config.service.drain_grace()).await;
    telemetry.flush();
    Ok(served?)
}
