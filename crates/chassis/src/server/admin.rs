//! What operators and probes ask, on a port of its own. Nothing here touches a dependency: a database that is down must not
//! make every replica of a service unready at once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::http::{CLIENT_SHARE_PERCENT, answer};
use super::{ConnectionsMax, Error, listen, share};

/// A few probes, a scraper and an operator are all who ask. Without a bound, whoever reaches the port and says nothing takes the
/// process's file descriptors, and the port for customers accepts nobody any more.
const CONNECTIONS_MAX: usize = 128;
/// For an answer that is being written when the process ends.
const GRACE: Duration = Duration::from_secs(1);

/// Header of `/readyz`: the number of the process that answers.
const PROCESS: HeaderName = HeaderName::from_static("x-process");

/// The admin port; it answers until this is dropped, so that a draining process can still say that it is not ready.
#[derive(Debug)]
pub(super) struct Admin {
    ready: Arc<AtomicBool>,
    _ends: DropGuard,
}

impl Admin {
    /// Starts answering: alive, not ready yet.
    pub(super) fn start(address: SocketAddr) -> Result<Self, Error> {
        Ok(Self::start_on(listen(address)?))
    }

    /// [`Admin::start`] on a listener that exists already.
    pub(super) fn start_on(listener: TcpListener) -> Self {
        let ready = Arc::new(AtomicBool::new(false));
        let token = CancellationToken::new();
        let max = ConnectionsMax { all: CONNECTIONS_MAX, per_client: share(CONNECTIONS_MAX, CLIENT_SHARE_PERCENT) };
        // How it ends is nobody's concern: the process does, then.
        tokio::spawn(answer(listener, router(Arc::clone(&ready)), max, token.clone(), GRACE));
        Self { ready, _ends: token.drop_guard() }
    }

    /// Ready from now until `shutdown` is cancelled.
    pub(super) fn ready_until(&self, shutdown: CancellationToken) {
        self.ready.store(true, Ordering::Relaxed);
        let ready = Arc::clone(&self.ready);
        tokio::spawn(async move {
            shutdown.cancelled().await;
            ready.store(false, Ordering::Relaxed);
        });
    }
}

fn router(ready: Arc<AtomicBool>) -> Router {
    // Two processes share the address while one takes over from the other: who asks wants to know which of them answers.
    let process = [(PROCESS, std::process::id().to_string())];
    let readyz = async move || match ready.load(Ordering::Relaxed) {
        true => (StatusCode::OK, process, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, process, "not ready\n"),
    };
    let router = Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/conditions", get(async || crate::conditions::lines()))
        .route("/metrics", get(metrics));
    #[cfg(feature = "sabotage")]
    let router = router.merge(super::sabotage::router());
    router
}

async fn metrics() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], crate::telemetry::render_metrics())
}
