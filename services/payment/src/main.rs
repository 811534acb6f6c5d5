//! The payment service.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chassis::config::DatabaseConfig;
use chassis::database::DatabaseClock;
use chassis::server::GrpcServer;
use chassis::shutdown::Shutdown;
use chassis::workers::Workers;
use clap::Parser;
use contracts::payment::v1::payment_operator_service_server::PaymentOperatorServiceServer;
use contracts::payment::v1::payment_service_server::PaymentServiceServer;
use payment::config::{Config, ReconcileConfig};
use payment::driver::Driver;
use payment::grpc::{OperatorGrpc, PaymentGrpc};
use payment::reconcile::Reconciler;
use payment::store::Store;
use payment::{reconcile, webhook, workers};
use tokio::sync::Notify;

/// Takes the money of orders, pays it back, and keeps the ledger.
#[derive(Parser)]
enum Command {
    /// Serve requests until SIGTERM.
    Serve(Box<Config>),
    /// Apply migrations and end.
    Migrate(Box<DatabaseConfig>),
    /// Compare our books with the provider's once and tell what differs; exit status 1 if anything does.
    Reconcile(Box<ReconcileConfig>),
}

/// Serves, or does what else is asked.
#[tokio::main]
pub async fn main() -> anyhow::Result<ExitCode> {
    match Command::parse() {
        Command::Serve(config) => serve(*config).await?,
        Command::Migrate(database) => {
            chassis::migrate::run(&database.connect()?, &[&outbox::MIGRATIONS, &payment::MIGRATIONS]).await?;
        }
        Command::Reconcile(config) => return reconcile_once(&config).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn reconcile_once(config: &ReconcileConfig) -> anyhow::Result<ExitCode> {
    let (pool, provider) = (config.database.connect()?, config.psp.provider()?);
    let clock = DatabaseClock::unread();
    clock.read(&pool).await?;
    let grace = Duration::from_secs(config.grace_seconds);
    let reconciler = Reconciler::new(Store::new(pool, config.region), Arc::new(provider), grace);
    let report =
        reconciler.run(reconciler.span(clock.since_epoch(), Duration::from_secs(config.since_hours * 3_600))).await?;
    write!(std::io::stdout().lock(), "{report}")?;
    Ok(if report.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = chassis::telemetry::init("payment", &config.service)?;
    let shutdown = Shutdown::on_signals()?;
    let (region, grace) = (config.service.region, config.service.drain_grace());
    let (provider, webhook_secret) = (Arc::new(config.psp.provider()?), config.webhook_secret()?);
    let pool = config.database.connect()?;
    let (store, clock) = (Store::new(pool.clone(), region), DatabaseClock::unread());
    let mut background = Workers::new();
    clock.keep(&pool, &mut background).await;
    let driver = Driver::new(store.clone(), Arc::clone(&provider), config.commission_basis_points);
    let wake = Arc::new(Notify::new());

    let webhooks = chassis::server::listen(config.webhook_listen)?;
    let router = webhook::router(store.clone(), webhook_secret, clock.clone(), Arc::clone(&wake));
    let webhooks = tokio::spawn(chassis::server::serve_http(webhooks, router, shutdown.token(), grace));

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
    let reconciler = Arc::new(Reconciler::new(store.clone(), provider, reconcile::GRACE));
    let every = Duration::from_millis(config.reconcile_every_ms);
    let window = Duration::from_secs(config.reconcile_window_hours * 3_600);
    background.spawn("reconcile", move |token| {
        workers::reconcile(Arc::clone(&reconciler), clock.clone(), every, window, token)
    });
    let (watched, operated) = (store.clone(), store.clone());
    background.spawn("parked", move |token| workers::watch_parked(watched.clone(), token));
    background.spawn("forget-webhooks", move |token| workers::forget_webhooks(store.clone(), token));

    let served = GrpcServer::new(&config.service)
        .add_service(PaymentServiceServer::new(PaymentGrpc::new(driver.clone())))
        .add_service(PaymentOperatorServiceServer::new(OperatorGrpc::new(operated)))
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
