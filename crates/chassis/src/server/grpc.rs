//! The gRPC server of a service.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::Service;

use super::accept::connections;
use super::admin::Admin;
use super::connections::{Connections, Protocol};
use super::request::RequestLayer;
use super::watched::Watched;
use super::{ConnectionsMax, Error, listen};
use crate::config::ServiceConfig;

/// Largest header list taken, in bytes. Sizes the refusal of an order of 1,500 lines: 1,500 violations of about 110 bytes,
/// in base64, are 220 KB.
pub(crate) const HEADER_LIST_BYTES_MAX: u32 = 512 * 1024;
/// Streams one connection may open. The services talk over one connection per pair.
const STREAMS_MAX: u32 = 1_024;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// Collects services, then serves them together with `grpc.health.v1`, reflection and the admin port.
///
/// A handler's future is dropped at its deadline and when the caller hangs up: what must not stop half-way is one database
/// transaction, or a task of its own.
pub struct GrpcServer {
    config: ServiceConfig,
    routes: RoutesBuilder,
    names: Vec<&'static str>,
    client_streams: &'static [&'static str],
}

impl GrpcServer {
    /// A server without services.
    pub fn new(config: &ServiceConfig) -> Self {
        Self { config: config.clone(), routes: RoutesBuilder::default(), names: Vec::new(), client_streams: &[] }
    }

    /// Says which methods (`/package.Service/Method`) take a stream: their callers may wait for the answer's head before they send a
    /// first message, so that is not waited for.
    #[must_use]
    pub fn with_client_streams(self, methods: &'static [&'static str]) -> Self {
        Self { client_streams: methods, ..self }
    }

    /// Adds a generated service.
    #[must_use]
    pub fn add_service<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// Serves on the configured addresses until `shutdown` is cancelled, then drains: stops accepting and lets requests in
    /// flight finish, within the grace period.
    ///
    /// # Errors
    /// [`Error`] when an address cannot be had or the server fails.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), Error> {
        let listener = listen(self.config.listen)?;
        let admin = listen(self.config.admin_listen)?;
        self.serve_on(listener, admin, shutdown).await
    }

    /// [`GrpcServer::serve`] on listeners that exist already; tests use port 0.
    ///
    /// # Errors
    /// [`Error`] when the server fails.
    pub async fn serve_on(
        mut self,
        listener: TcpListener,
        admin_listener: TcpListener,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let health = self.add_health_and_reflection().await?;
        tokio::spawn(crate::conditions::tell(health.clone(), shutdown.clone()));
        let admin = Admin::start_on(admin_listener);
        let layer = RequestLayer::new(&self.config, self.client_streams);
        let held = Connections::new(ConnectionsMax::from(&self.config));
        let incoming = connections(listener, shutdown.clone()).filter_map(move |(stream, peer)| {
            let watched =
                held.admit(peer, Protocol::Http2).map(|connection| Watched::new(stream, Arc::new(connection)));
            if watched.is_none() {
                metrics::counter!("connections_refused_total").increment(1);
            }
            std::future::ready(watched.map(Ok::<_, Infallible>))
        });
        let server = tonic::transport::Server::builder()
            .layer(layer)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .max_concurrent_streams(STREAMS_MAX)
            .add_routes(self.routes.routes())
            // Its draining begins when there are no more connections.
            .serve_with_incoming_shutdown(incoming, std::future::pending());
        tracing::info!(listen = %self.config.listen, admin = %self.config.admin_listen, "serving");
        admin.ready_until(shutdown.clone());
        let grace = self.config.drain_grace();
        let grace_over = async {
            shutdown.cancelled().await;
            set_health(&health, &self.names, ServingStatus::NotServing).await;
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            served = server => {
                served?;
                tracing::info!("drained");
            }
            () = grace_over => tracing::warn!(?grace, "grace is over, dropping what is in flight"),
        }
        Ok(())
    }

    async fn add_health_and_reflection(&mut self) -> Result<HealthReporter, Error> {
        let (health, health_service) = tonic_health::server::health_reporter();
        set_health(&health, &self.names, ServingStatus::Serving).await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(contracts::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        self.routes.add_service(health_service).add_service(reflection);
        Ok(health)
    }
}

/// The empty name stands for the whole server.
async fn set_health(health: &HealthReporter, names: &[&'static str], serving: ServingStatus) {
    for name in names.iter().copied().chain([""]) {
        health.set_service_status(name, serving).await;
    }
}
