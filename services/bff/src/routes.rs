//! Every route, and what the handlers share.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use chassis::server::Places;

use crate::cors::Cors;
use crate::event_streams::EventStreams;
use crate::problem::Problem;
use crate::rate_limit::RateLimit;
use crate::resources::{cart_events, carts, delivery_address, lines, offers, orders, returns, sessions};
use crate::session::SessionKey;
use crate::{Backends, extract, openapi, request};

/// What the handlers share.
#[derive(Debug)]
pub struct Bff {
    /// This region: the home of the sessions that begin here.
    pub region: ids::Region,
    /// The services behind.
    pub backends: Backends,
    /// Signs and checks sessions.
    pub session_key: SessionKey,
    /// Counts requests per client.
    pub rate_limit: RateLimit,
    /// Bounds requests served at once, in all and for one client.
    pub in_flight: Places,
    /// Bounds requests whose body is being received.
    pub receiving: Places,
    /// Which pages of other origins may ask.
    pub cors: Cors,
    /// Bounds streams of events.
    pub event_streams: EventStreams,
}

/// The REST surface.
pub fn router(bff: Arc<Bff>) -> Router {
    let cors = bff.cors.layer();
    let router = Router::new()
        .route("/v1/sessions", post(sessions::create))
        .route("/v1/offers", get(offers::list))
        .route("/v1/offers/{offer_id}", get(offers::read))
        .route("/v1/carts", post(carts::create))
        .route("/v1/carts/{cart_id}", get(carts::read))
        .route("/v1/carts/{cart_id}/events", get(cart_events::watch))
        .route("/v1/carts/{cart_id}/lines", post(lines::add))
        .route("/v1/carts/{cart_id}/lines/{offer_id}", put(lines::set_quantity).delete(lines::remove))
        .route("/v1/carts/{cart_id}/delivery-address", put(delivery_address::set).delete(delivery_address::clear))
        .route("/v1/orders", post(orders::place).get(orders::list))
        .route("/v1/orders/{order_id}", get(orders::read))
        .route("/v1/orders/{order_id}/cancel", post(orders::cancel))
        .route("/v1/orders/{order_id}/returns", post(returns::create))
        .route("/openapi.json", get(openapi::serve))
        .fallback(async || extract::not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "this path does not take this method")
        })
        .layer(from_fn_with_state(Arc::clone(&bff), request::around))
        .with_state(bff);
    // Outermost: a page has to be able to read refusals too, and its browser's questions are no requests to us.
    match cors {
        Some(cors) => router.layer(cors),
        None => router,
    }
}
