//! The payment service.

use std::sync::Arc;

use chassis::config::DatabaseConfig;
use chassis::server::GrpcServer;
use chassis::shutdown::Shutdown;
use chassis::workers::Workers;
use clap::Parser;
use contracts::payment::v1::payment_service_server::PaymentServiceServer;
use payment::config::Config;
use payment::driver::Driver;
use payment::grpc::PaymentGrpc;
use payment::store::Store;
use payment::{webhook, workers};
use tokio::sync::Notify;

/// Takes the money of orders, pays it back, and keeps the ledger.
#[derive(Parser)]
enum Command {
    /// Serve requests until SIGTERM.
    Serve(Box<Config>),
    /// Apply migrations and end.
    Migrate(Box<DatabaseConfig>),
}

/// Serves, or does what else is asked.
#[tokio::main]
pub async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Serve(config) => serve(*config).await,
        Command::Migrate(database) => {
            Ok(chassis::migrate::run(&database.connect()?, &[&outbox::MIGRATIONS, &payment::MIGRATIONS]).await?)
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = chassis::telemetry::init("payment", &config.service)?;
    let shutdown = Shutdown::on_signals()?;
    let (region, grace) = (config.service.region, config.service.drain_grace());
    let (provider, webhook_secret) = (config.provider()?, config.webhook_secret()?);
    let pool = config.database.connect()?;
    let store = Store::new(pool.clone(), region);
    let driver = Driver::new(store.clone(), Arc::new(provider), config.commission_basis_points);
    let wake = Arc::new(Notify::new());

    let webhooks = chassis::server::listen(config.webhook_listen)?;
    let router = webhook::router(store.clone(), webhook_secret, Arc::clone(&wake));
    let webhooks = tokio::spawn(chassis::server::serve_http(webhooks, router, shutdown.token(), grace));

    let mut background = Workers::new();
    let relay = Arc::new(outbox::Relay::new(pool.clone(), &config.spine, region, "payment"));
    background.spawn("relay", move |token| {
        let relay = Arc::clone(&relay);
        async move { relay.run(token).await }
    });
    let shipped = outbox::Consumer::new(pool, &config.spine, region, "payment", workers::ShippedOrders);
    let shipped = Arc::new(shipped);
    background.spawn("shipped-orders", move |token| {
        let shipped = Arc::clone(&shipped);
        async move { shipped.run(token).await }
    });
    let (due, woken) = (driver.clone(), Arc::clone(&wake));
    background.spawn("due", move |token| workers::drive_due(due.clone(), Arc::clone(&woken), token));
    let listened = store.clone();
    background.spawn("wake", move |token| workers::listen(listened.clone(), Arc::clone(&wake), token));
    background.spawn("forget-webhooks", move |token| workers::forget_webhooks(store.clone(), token));

    let served = GrpcServer::new(&config.service)
        .add_service(PaymentServiceServer::new(PaymentGrpc::new(driver.clone())))
        .serve(shutdown.token())
        .await;
    // A listener that could not be bound ends the others too.
    shutdown.token().cancel();
    driver.finish(grace).await;
    background.stop(grace).await;
    webhooks.await?;
    telemetry.flush();
    Ok(served?)
}
