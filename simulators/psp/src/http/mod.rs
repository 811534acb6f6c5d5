//! The HTTP surface: one router, served until told to stop.

mod account;
mod admin;
mod answer;
mod payments;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use crate::config::{Account, Config};
use crate::counts::{Count, Counts};
use crate::faults::{Fate, Panel};
use crate::ledger::OpenError;
use crate::provider::Provider;
use crate::webhook;

/// Requests are a few hundred bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Requests held at once, silent ones included; one more gets 503. A few KB each.
const REQUESTS_IN_FLIGHT_MAX: usize = 4_096;
/// After the shutdown signal, requests that are being held silent are waited for this long.
const DRAIN_WITHIN: Duration = Duration::from_secs(2);

/// Why the provider cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The ledger is unreadable.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The client for webhooks cannot be built.
    #[error("cannot build the webhook client")]
    Client(#[from] reqwest::Error),
    /// The listener failed, or the last sync did.
    #[error("cannot serve")]
    Io(#[from] std::io::Error),
}

/// What every request shares.
#[derive(Debug)]
struct Shared {
    provider: Provider,
    accounts: Vec<Account>,
    panel: Panel,
    webhooks: webhook::Sender,
    counts: Arc<Counts>,
    in_flight: Arc<Semaphore>,
}

type State = axum::extract::State<Arc<Shared>>;

/// What carrying a request out came to.
struct Carried {
    response: Response,
    /// Whether it wrote a new line of the ledger.
    is_new: bool,
}

/// Whether a request may move money. Only those that may are counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Call,
    Question,
}

impl Shared {
    /// Lets the panel's fate befall one request. `work` runs at most once, without waiting, so a caller who hangs up
    /// cannot leave it half done.
    async fn answer(self: &Arc<Self>, kind: Kind, work: impl FnOnce() -> Carried + Send + 'static) -> Response {
        let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else { return answer::overloaded() };
        let count = |happened: bool, count| {
            if happened && kind == Kind::Call {
                self.counts.add(count);
            }
        };
        count(true, Count::Calls);
        let (delay, fate, hold) = self.panel.draw_request();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match fate {
            Fate::Answered => work().response,
            Fate::Slow(time) => {
                let response = work().response;
                tokio::time::sleep(time).await;
                count(true, Count::Slow);
                response
            }
            Fate::ErrorBeforeWork => {
                count(true, Count::ServerErrorBeforeWork);
                answer::internal()
            }
            Fate::ErrorAfterWork => {
                count(work().is_new, Count::ServerErrorAfterWork);
                answer::internal()
            }
            Fate::SilentBeforeWork => {
                count(true, Count::TimeoutBeforeWork);
                tokio::time::sleep(hold).await;
                answer::timed_out()
            }
            Fate::SilentAfterWork => {
                count(work().is_new, Count::TimeoutAfterWork);
                tokio::time::sleep(hold).await;
                answer::timed_out()
            }
            Fate::Straggler(time) => {
                let shared = Arc::clone(self);
                // A task of its own, for the caller hangs up long before. It counts as a request in flight until it lands.
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    if work().is_new {
                        shared.counts.add(Count::Straggler);
                    }
                    drop(permit);
                });
                tokio::time::sleep(hold).await;
                answer::timed_out()
            }
        }
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/faults", get(admin::get_faults).put(admin::put_faults))
        .route("/faults/counts", get(admin::get_counts))
        .route("/v1/ledger", get(admin::ledger))
        .route("/v1/payment_intents", post(payments::authorise).get(payments::list_intents))
        .route("/v1/payment_intents/{id}", get(payments::get_intent))
        .route("/v1/payment_intents/{id}/capture", post(payments::capture))
        .route("/v1/payment_intents/{id}/cancel", post(payments::cancel))
        .route("/v1/refunds", post(payments::refund).get(payments::list_refunds))
        .fallback(|| async { answer::not_found("no such path") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(shared)
}

/// Serves on `listener` until `shutdown` resolves, then drains and syncs the ledger. Tests give a listener on port 0.
///
/// # Errors
/// [`ServeError`]; nothing is served when the ledger cannot be read.
pub async fn serve(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let provider = Provider::open(&config)?;
    let counts = Arc::new(Counts::default());
    let shared = Arc::new(Shared {
        provider: provider.clone(),
        accounts: config.accounts,
        panel: Panel::new(config.fault_seed),
        webhooks: webhook::Sender::new(Arc::clone(&counts))?,
        counts,
        in_flight: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)),
    });
    // Answers are small and go out in one piece; waiting to fill a packet would only add 40 ms.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
    });
    let (stopping, stop) = oneshot::channel::<()>();
    let server = axum::serve(listener, router(shared)).with_graceful_shutdown(async move {
        shutdown.await;
        // The receiver is gone only when the server already ended.
        let _ = stopping.send(());
    });
    let drained = async {
        if stop.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(DRAIN_WITHIN).await;
    };
    tokio::select! {
        served = server => served?,
        () = drained => tracing::info!("stopping with requests still held"),
    }
    provider.sync()?;
    Ok(())
}
