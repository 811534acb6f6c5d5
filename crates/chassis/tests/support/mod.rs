//! A catalogue whose one answer the test decides, served by the real stack on a free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chassis::client::{Dependency, DependencyConfig};
use chassis::config::ServiceConfig;
use chassis::server::GrpcServer;
use clap::Parser as _;
use contracts::catalog::v1::catalog_service_client::CatalogServiceClient;
use contracts::catalog::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use contracts::catalog::v1::{
    BatchGetOffersRequest, BatchGetOffersResponse, GetOfferRequest, GetOfferResponse, ListOffersRequest,
    ListOffersResponse, UpsertOffersRequest, UpsertOffersResponse,
};
use futures::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

type Answer = dyn Fn(u32) -> BoxFuture<'static, Result<i64, Status>> + Send + Sync;

/// Answers `GetOffer` with `available_here` as decided by the test, which is told the number of the call, from 1.
#[derive(Clone)]
pub struct Catalog {
    answer: Arc<Answer>,
    pub calls: Arc<AtomicU32>,
}

impl Catalog {
    pub fn answering<F>(answer: impl Fn(u32) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<i64, Status>> + Send + 'static,
    {
        Self { answer: Arc::new(move |call| Box::pin(answer(call))), calls: Arc::default() }
    }

    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[tonic::async_trait]
impl CatalogService for Catalog {
    async fn get_offer(&self, _: Request<GetOfferRequest>) -> Result<Response<GetOfferResponse>, Status> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let available_here = (self.answer)(call).await?;
        Ok(Response::new(GetOfferResponse { offer: None, available_here }))
    }

    async fn batch_get_offers(
        &self,
        _: Request<BatchGetOffersRequest>,
    ) -> Result<Response<BatchGetOffersResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn list_offers(&self, _: Request<ListOffersRequest>) -> Result<Response<ListOffersResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn upsert_offers(&self, _: Request<UpsertOffersRequest>) -> Result<Response<UpsertOffersResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    service: ServiceConfig,
}

/// Settings as from the command line, with `more` flags.
pub fn config(more: &[&str]) -> ServiceConfig {
    let base = ["test", "--region", "east", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    Flags::parse_from(base.iter().chain(more)).service
}

/// A running server.
pub struct Running {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub shutdown: CancellationToken,
    pub server: JoinHandle<Result<(), chassis::server::Error>>,
}

impl Running {
    pub async fn start(catalog: &Catalog, config: &ServiceConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(listener, catalog, config).await
    }

    pub async fn start_on(listener: TcpListener, catalog: &Catalog, config: &ServiceConfig) -> Self {
        let admin_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, admin) = (listener.local_addr().unwrap(), admin_listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let server = GrpcServer::new(config).add_service(CatalogServiceServer::new(catalog.clone()));
        let server = tokio::spawn(server.serve_on(listener, admin_listener, shutdown.clone()));
        Self { address, admin, shutdown, server }
    }

    pub fn dependency(&self) -> Dependency {
        dependency(self.address, DependencyConfig::default())
    }
}

pub fn dependency(address: SocketAddr, config: DependencyConfig) -> Dependency {
    Dependency::new("catalog", &format!("http://{address}"), config).unwrap()
}

/// Calls `GetOffer` through the whole client stack.
pub async fn get_offer(catalog: &Dependency, deadline: Duration) -> Result<i64, Status> {
    let answer = catalog
        .call(deadline, |channel| async move {
            CatalogServiceClient::new(channel).get_offer(GetOfferRequest { offer_id: "85123A".into() }).await
        })
        .await?;
    Ok(answer.available_here)
}

/// The status code and body of a GET on the admin port.
pub async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
