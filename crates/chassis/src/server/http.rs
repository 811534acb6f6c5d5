//! HTTP/1.1 servers: the bff's REST with the admin port, or a bare listener beside a gRPC server (payment's webhooks).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use futures::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt as _};

use super::accept::connections;
use super::admin::Admin;
use super::connections::{Connection, Connections, Protocol};
use super::watched::Watched;
use super::{ConnectionsMax, Error, listen, share};
use crate::config::ServiceConfig;

/// A connection on which nothing is asked for so long is closed. Whoever has begun to ask, or has just come, has less: see `connections`.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that does not acknowledge what it is sent for so long, or reads nothing while more waits to be sent, is gone or hostile: its
/// connection ends. The system by itself gives up after a quarter of an hour in the first case and never in the second.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// While draining, a client that keeps its connection has this long to send its next request, which is answered with `Connection: close`. An
/// idle connection that is closed at once meets, now and then, the request that is just being sent: HTTP/1.1 has no other way to tell
/// the client beforehand.
const LINGER: Duration = Duration::from_millis(500);
/// Of a listener that is not told.
const CONNECTIONS_MAX: usize = 4_096;
pub(super) const CLIENT_SHARE_PERCENT: u8 = 90;

/// Serves a router, with the admin port beside it.
#[derive(Debug)]
pub struct HttpServer {
    config: ServiceConfig,
    router: Router,
}

impl HttpServer {
    /// A server for `router`, which brings its own deadlines and error pages.
    pub fn new(config: &ServiceConfig, router: Router) -> Self {
        Self { config: config.clone(), router }
    }

    /// Serves on the configured addresses until `shutdown` is cancelled, then drains within the grace period.
    ///
    /// # Errors
    /// [`Error`] when an address cannot be had.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), Error> {
        let listener = listen(self.config.listen)?;
        let admin = Admin::start(self.config.admin_listen)?;
        tracing::info!(listen = %self.config.listen, admin = %self.config.admin_listen, "serving");
        admin.ready_until(shutdown.clone());
        let max = ConnectionsMax::from(&self.config);
        serve_http_within(listener, self.router, max, shutdown, self.config.drain_grace()).await;
        Ok(())
    }
}

/// [`serve_http_within`] 4,096 connections, nine in ten of one client.
pub async fn serve_http(listener: TcpListener, router: Router, shutdown: CancellationToken, grace: Duration) {
    let max = ConnectionsMax { all: CONNECTIONS_MAX, per_client: share(CONNECTIONS_MAX, CLIENT_SHARE_PERCENT) };
    serve_http_within(listener, router, max, shutdown, grace).await;
}

/// Serves `router`, whose handlers find the peer's address in `ConnectInfo<SocketAddr>`, on at most `max` connections, until `shutdown` is
/// cancelled; then stops accepting, asks clients to leave, and lets requests in flight finish, for `grace` at most.
pub async fn serve_http_within(
    listener: TcpListener,
    router: Router,
    max: ConnectionsMax,
    shutdown: CancellationToken,
    grace: Duration,
) {
    match answer(listener, router, max, shutdown, grace).await {
        Ok(()) => tracing::info!("drained"),
        Err(_) => tracing::warn!(?grace, "grace is over, dropping what is in flight"),
    }
}

/// [`serve_http_within`] that leaves it to the caller to say how it ended: an error when the grace was too short.
pub(super) async fn answer(
    listener: TcpListener,
    router: Router,
    max: ConnectionsMax,
    shutdown: CancellationToken,
    grace: Duration,
) -> Result<(), Elapsed> {
    let held = Connections::new(max);
    let tracker = TaskTracker::new();
    let graceful = GracefulShutdown::new();
    let mut connections = pin!(connections(listener, shutdown.clone()));
    while let Some((stream, peer)) = connections.next().await {
        end_when_unread(&stream, UNREAD_MAX);
        let Some(connection) = held.admit(peer, Protocol::Http1).map(Arc::new) else {
            metrics::counter!("connections_refused_total").increment(1);
            continue;
        };
        let service = service(router.clone(), peer, Arc::clone(&connection), shutdown.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .serve_connection(TokioIo::new(Watched::new(stream, connection)), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tracker.spawn(async move {
            // A client that hangs up, is too slow or talks rubbish ends its own connection only.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended badly");
            }
        });
    }
    tracker.close();
    let drained = async {
        // Gone before that, or told to go now.
        let _ = tokio::time::timeout(LINGER, tracker.wait()).await;
        graceful.shutdown().await;
    };
    tokio::time::timeout(grace, drained).await
}

/// What answers the requests of one connection. The connection is busy from the end of a request's head to the end of its answer's body,
/// which for a stream of events is minutes later.
fn service(
    router: Router,
    peer: SocketAddr,
    connection: Arc<Connection>,
    draining: CancellationToken,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone {
    tower::service_fn(move |mut request: Request<Incoming>| {
        let answering = connection.answering();
        request.extensions_mut().insert(ConnectInfo(peer));
        let (router, draining) = (router.clone(), draining.clone());
        async move {
            let mut response = router.oneshot(request).await?;
            if draining.is_cancelled() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _until_the_end = &answering;
                    frame
                }))
            }))
        }
    })
}

/// As `TCP_USER_TIMEOUT` says. A connection that refuses the option still works.
fn end_when_unread(stream: &TcpStream, after: Duration) {
    let _ = SockRef::from(stream).set_tcp_user_timeout(Some(after));
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn a_client_that_stops_reading_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        end_when_unread(&stream, Duration::from_millis(500));
        let ended = async {
            loop {
                if let Err(error) = stream.write_all(&[0; 65_536]).await {
                    return error;
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
    }
}
