//! The inventory service: stock, reservations and the catalogue of one region.

use std::time::Duration;

use chassis::client::{Dependency, DependencyConfig};
use chassis::config::{DatabaseConfig, ServiceConfig};
use chassis::server::GrpcServer;
use chassis::shutdown::Shutdown;
use chassis::workers::Workers;
use clap::Parser;
use contracts::catalog::v1::catalog_service_server::CatalogServiceServer;
use contracts::inventory::v1::inventory_service_server::InventoryServiceServer;
use inventory::catalog::CatalogGrpc;
use inventory::grpc::{InventoryGrpc, PeerRegion};
use inventory::workers::{expiry, order_events, transfers};
use outbox::config::SpineConfig;

#[derive(Parser)]
enum Command {
    /// Serve requests until SIGTERM.
    Serve(Box<Config>),
    /// Apply migrations and end.
    Migrate(Box<DatabaseConfig>),
}

#[derive(clap::Args)]
struct Config {
    #[command(flatten)]
    service: ServiceConfig,
    #[command(flatten)]
    database: DatabaseConfig,
    #[command(flatten)]
    spine: SpineConfig,

    /// The other region's inventory service, asked for rights when local ones run short.
    #[arg(long, env = "PEER_INVENTORY_URL")]
    peer_inventory_url: String,

    /// This region's order service, asked for an order's fate before an expired reservation is released.
    #[arg(long, env = "ORDER_URL")]
    order_url: String,

    /// How long units are held for an order before its fate is asked for, in milliseconds. Much shorter than a saga takes
    /// makes useless questions; longer keeps the units of dead orders from being sold.
    #[arg(long, env = "RESERVATION_TTL_MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(100..=86_400_000))]
    reservation_ttl_ms: u64,
}

/// Serves, or does what else is asked.
#[tokio::main]
pub async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Serve(config) => serve(*config).await,
        Command::Migrate(config) => {
            Ok(chassis::migrate::run(&config.connect()?, &[&outbox::MIGRATIONS, &inventory::MIGRATIONS]).await?)
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = chassis::telemetry::init("inventory", &config.service)?;
    let shutdown = Shutdown::on_signals()?;
    let region = config.service.region;
    let pool = config.database.connect()?;
    let peer = Dependency::new("peer-inventory", &config.peer_inventory_url, DependencyConfig::default())?;
    let peer = PeerRegion::new(peer, region);
    let orders = Dependency::new("order", &config.order_url, DependencyConfig::default())?;

    let mut workers = Workers::new();
    let (consumer_pool, spine) = (order_events::consumer_pool(&pool), config.spine);
    workers.spawn("order-events", move |token| {
        let events = order_events::OrderEvents;
        let consumer = outbox::Consumer::new(consumer_pool.clone(), &spine, region, "inventory", events);
        async move { consumer.run(token).await }
    });
    let (transfers_pool, transfers_peer) = (pool.clone(), peer.clone());
    workers.spawn("transfers", move |token| {
        let (pool, peer) = (transfers_pool.clone(), transfers_peer.clone());
        async move { transfers::run(&pool, &peer, &token).await }
    });
    let expiry_pool = pool.clone();
    workers.spawn("expiry", move |token| {
        let (pool, orders) = (expiry_pool.clone(), orders.clone());
        async move { expiry::run(&pool, &orders, &token).await }
    });

    let reservation_ttl = Duration::from_millis(config.reservation_ttl_ms);
    let stock = InventoryGrpc::new(pool.clone(), region, reservation_ttl, peer);
    stock.clock().keep(&pool, &mut workers).await;
    let served = GrpcServer::new(&config.service)
        .add_service(InventoryServiceServer::new(stock))
        .add_service(CatalogServiceServer::new(CatalogGrpc::new(pool)))
        .serve(shutdown.token())
        .await;
    workers.stop(config.service.drain_grace()).await;
    telemetry.flush();
    Ok(served?)
}
