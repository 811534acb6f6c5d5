//! The order service.

use std::convert::Infallible;
use std::sync::Arc;

use chassis::config::DatabaseConfig;
use chassis::server::GrpcServer;
use chassis::shutdown::Shutdown;
use chassis::telemetry;
use chassis::workers::Workers;
use clap::Parser;
use contracts::order::v1::order_operator_service_server::OrderOperatorServiceServer;
use contracts::order::v1::order_peer_service_server::OrderPeerServiceServer;
use contracts::order::v1::order_service_server::OrderServiceServer;
use order::config::Config;
use order::domain::Link;
use order::grpc::{self, OperatorGrpc, OrderGrpc, PeerGrpc, PeerRegion, clients};
use order::sagas::Sagas;
use order::sagas::one_intention::OneIntention;
use order::store::Store;
use order::workers;
use tokio::sync::watch;

/// Orders: the durable saga, fulfilment, cancel, return.
#[derive(Parser)]
#[command(version)]
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
        Command::Migrate(config) => {
            Ok(chassis::migrate::run(&config.connect()?, &[&outbox::MIGRATIONS, &order::MIGRATIONS]).await?)
        }
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let telemetry = telemetry::init("order", &config.service)?;
    let shutdown = Shutdown::on_signals()?;
    let pool = config.database.connect()?;
    let store = Store::new(pool.clone(), config.service.region);
    let mut workers = Workers::new();
    store.clock().keep(&pool, &mut workers).await;
    let sagas = Sagas::new(store, clients::connect(&config)?, config.saga());
    let (region, there) = (config.service.region, clients::peer(&config)?);
    let (link, known_link) = watch::channel(Link::Up);
    let peer = Arc::new(PeerRegion::new(there.clone(), region, known_link));
    workers.spawn("peer-link", move |token| {
        let (there, link) = (there.clone(), link.clone());
        async move {
            grpc::peer::watch(&there, &link, token).await;
            Ok::<_, Infallible>(())
        }
    });
    let intentions = OneIntention::new(sagas.clone(), Some(peer.clone()));
    workers::start(&mut workers, &pool, &config, &sagas, &intentions);
    let served = GrpcServer::new(&config.service)
        .add_service(OrderServiceServer::new(OrderGrpc::new(sagas.clone()).with_peer(peer)))
        .add_service(OrderPeerServiceServer::new(PeerGrpc::new(intentions, region)))
        .add_service(OrderOperatorServiceServer::new(OperatorGrpc::new(sagas)))
        .serve(shutdown.token())
        .await;
    workers.stop(config.service.drain_grace()).await;
    telemetry.flush();
    Ok(served?)
}
