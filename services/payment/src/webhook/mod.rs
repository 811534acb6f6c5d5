//! Webhooks of the provider: hints, never facts.
//!
//! They come late, twice, in any order, and the ledger must not hang on them. So an event changes no state and none of its amounts
//! is read: it only names a payment or refund that is worth asking about now rather than at the end of its backoff. Losing
//! every webhook costs seconds; forging one (with the secret) costs the provider a question.

mod event;
pub mod signature;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chassis::database::DatabaseClock;
use tokio::sync::Notify;

use self::event::Event;
use self::signature::WebhookSecret;
use crate::store::Store;

/// Events have about 500 bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// The whole request, its body included. The provider repeats what it got no answer to.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Receiver {
    store: Store,
    secret: Arc<WebhookSecret>,
    clock: DatabaseClock,
    wake: Arc<Notify>,
}

/// `POST /webhooks/psp`. `wake`: told when a hint made work due. `clock`: what the age of a signature is taken by.
///
/// Answers 200 for what is genuine, also when it means nothing to us; 400 for a genuine one that is not an event; 401 for one
/// without a good signature; 503, so that the provider sends it again, when the store fails.
pub fn router(store: Store, secret: WebhookSecret, clock: DatabaseClock, wake: Arc<Notify>) -> Router {
    Router::new()
        .route("/webhooks/psp", post(receive))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(tower_http::timeout::TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, REQUEST_TIMEOUT))
        .with_state(Receiver { store, secret: Arc::new(secret), clock, wake })
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let (status, outcome) = receiver.receive(&headers, &body).await;
    metrics::counter!("psp_webhooks_total", "outcome" => outcome).increment(1);
    status
}

impl Receiver {
    async fn receive(&self, headers: &HeaderMap, body: &[u8]) -> (StatusCode, &'static str) {
        let header = headers.get(signature::HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Err(error) = self.secret.verify(header, body, self.clock.since_epoch()) {
            tracing::warn!(%error, "a webhook was not believed");
            return (StatusCode::UNAUTHORIZED, "unverified");
        }
        let Some(event) = Event::parse(body) else { return (StatusCode::BAD_REQUEST, "malformed") };
        let Some(subject) = event.subject() else { return (StatusCode::OK, "ignored") };
        match self.store.hint(&event.id, subject).await {
            Ok(true) => {
                self.wake.notify_one();
                (StatusCode::OK, "hint")
            }
            Ok(false) => (StatusCode::OK, "nothing_to_do"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a webhook was not taken in");
                (StatusCode::SERVICE_UNAVAILABLE, "failed")
            }
        }
    }
}
