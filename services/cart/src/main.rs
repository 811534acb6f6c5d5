//! The cart service.

use cart::catalog::Catalog;
use cart::grpc::CartGrpc;
use cart::workers::{PlacedOrders, settle_overdue_checkouts};
use chassis::client::{Dependency, DependencyConfig};
use chassis::config::{DatabaseConfig, ServiceConfig};
use chassis::server::GrpcServer;
use chassis::shutdown::Shutdown;
use chassis::workers::Workers;
use clap::Parser;
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
    /// Where the catalogue is, such as http://127.1.0.12:50051: names and prices are snapshotted from it.
    #[arg(long, env = "CATALOG_URL")]
    catalog_url: String,
    /// Where the order service is: asked for the fate of checkouts that nobody came back for.
    #[arg(long, env = "ORDER_URL")]
    order_url: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
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

    let mut workers = Workers::new();
    let placed = Consumer::new(pool.clone(), &config.spine, region, "cart", PlacedOrders::new(region));
    let placed = std::sync::Arc::new(placed);
    workers.spawn("placed-orders", move |token| {
        let placed = placed.clone();
        async move { placed.run(token).await }
    });
    let store = pool.clone();
    workers.spawn("overdue-checkouts", move |token| settle_overdue_checkouts(store.clone(), orders.clone(), token));

    let served = GrpcServer::new(&config.service)
        .add_service(CartServiceServer::new(CartGrpc::new(pool, catalog, region)))
        .serve(shutdown.token())
        .await;
    workers.stop(config.service.drain_grace()).await;
    telemetry.flush();
    Ok(served?)
}
