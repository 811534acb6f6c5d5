//! HTTP/1.1 servers: the bff's REST with the admin port, or a bare listener beside a gRPC server (payment's webhooks).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::Response;
use futures::StreamExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::accept::connections;
use super::admin::Admin;
use super::{Error, listen};
use crate::config::ServiceConfig;

/// A client has this long to send the head of its next request; a slower one, or an idle connection, is closed.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that does not acknowledge what it is sent for so long, or reads nothing while more waits to be sent, is gone or hostile: its
/// connection ends. The system by itself gives up after a quarter of an hour in the first case and never in the second.
const UNREAD_MAX: Duration = Duration::from_secs(30);
/// While draining, a client that keeps its connection has this long to send its next request, which is answered with `Connection: close`. An
/// idle connection that is closed at once meets, now and then, the request that is just being sent: HTTP/1.1 has no other way to tell
/// the client beforehand.
const LINGER: Duration = Duration::from_millis(500);
/// Connections held at once. Each costs two buffers of about 8 KB, so at most some 64 MB when a crowd of them is hostile.
const CONNECTIONS_MAX: usize = 4_096;

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
        serve_http(listener, self.router, shutdown, self.config.drain_grace()).await;
        Ok(())
    }
}

/// Serves `router`, whose handlers find the peer's address in `ConnectInfo<SocketAddr>`, until `shutdown` is cancelled; then
/// stops accepting, asks clients to leave, and lets requests in flight finish, for `grace` at most.
pub async fn serve_http(listener: TcpListener, router: Router, shutdown: CancellationToken, grace: Duration) {
    let rooms = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut connections = pin!(connections(listener, shutdown.clone()));
    while let Some((stream, peer)) = connections.next().await {
        end_when_unread(&stream, UNREAD_MAX);
        let Ok(room) = Arc::clone(&rooms).try_acquire_owned() else {
            metrics::counter!("connections_refused_total").increment(1);
            continue;
        };
        let draining = shutdown.clone();
        let service = router
            .clone()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ConnectInfo(peer));
                request
            })
            .map_response(move |mut response: Response| {
                if draining.is_cancelled() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                response
            });
        let service = TowerToHyperService::new(service);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that hangs up or talks rubbish ends its own connection only.
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended badly");
            }
            drop(room);
        });
    }
    let everybody = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let drained = async {
        // Gone before that, or told to go now.
        let _ = tokio::time::timeout(LINGER, rooms.acquire_many(everybody)).await;
        graceful.shutdown().await;
    };
    match tokio::time::timeout(grace, drained).await {
        Ok(()) => tracing::info!("drained"),
        Err(_) => tracing::warn!(?grace, "grace is over, dropping what is in flight"),
    }
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
