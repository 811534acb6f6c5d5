//! The OpenAPI document, made from the handlers.

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::resources::{cart_events, carts, delivery_address, lines, offers, orders, returns, sessions};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Marketplace Backbone",
        description = "Carts and orders. Errors are application/problem+json; look at `code`. Any region may be asked. A request that changes \
                       a cart, places an order or returns goods takes an Idempotency-Key: repeating it, in either region, returns the first \
                       outcome. Cancelling again is cancelling once."
    ),
    paths(
        sessions::create, offers::list, offers::read, carts::create, carts::read, cart_events::watch, lines::add, lines::set_quantity,
        lines::remove, delivery_address::set, delivery_address::clear, orders::place, orders::read, orders::list,
        orders::cancel, returns::create,
    ),
    modifiers(&Bearer),
    security(("session" = [])),
)]
struct Document;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        document.components.get_or_insert_default().add_security_scheme("session", SecurityScheme::Http(scheme));
    }
}

/// The document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Serves it. It never changes while the process runs, so it is written once.
pub(crate) async fn serve() -> impl IntoResponse {
    static JSON: LazyLock<Bytes> = LazyLock::new(|| document().to_json().map(Bytes::from).unwrap_or_default());
    ([(CONTENT_TYPE, "application/json")], JSON.clone())
}
