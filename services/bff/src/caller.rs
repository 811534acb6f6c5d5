//! Who is asking, and whether they may ask again so soon. A handler that takes a [`Customer`] or an [`Anyone`] has had both
//! checked before its body is looked at.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, StatusCode};
use chassis::server::{Asker, ClientAddress};
use chrono::{DateTime, Utc};
use ids::CustomerId;

use crate::Bff;
use crate::problem::Problem;
use crate::rate_limit::{Client, TooMany};
use crate::session::{self, Session};

/// The holder of a valid session.
pub(crate) struct Customer(Session);

/// Somebody who needs no session, known by address only.
pub(crate) struct Anyone;

impl Customer {
    /// The owner, as the services call it.
    pub(crate) fn id(&self) -> String {
        self.0.customer.to_string()
    }

    /// The owner.
    pub(crate) const fn customer(&self) -> CustomerId {
        self.0.customer
    }

    /// Until when the session is good.
    pub(crate) const fn session_ends_at(&self) -> DateTime<Utc> {
        self.0.ends_at
    }
}

/// Where a request came from; nothing for a router that is called directly, in tests.
pub(crate) struct CameFrom(pub(crate) Option<ClientAddress>);

impl<S: Sync> FromRequestParts<S> for CameFrom {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(address(&parts.extensions)))
    }
}

/// Who asks, as far as shares of places go: before anything else is known of the request, and whether or not it will be served.
pub(crate) fn asker(bff: &Bff, request: &Request) -> Asker {
    let session = bearer(request.headers()).and_then(|token| session::verify(&bff.session_key, token, Utc::now()).ok());
    let session = session.map(|session| session.customer.as_uuid().as_u128());
    Asker { address: address(request.extensions()), session }
}

/// The server adds the peer's address to every request.
fn address(extensions: &Extensions) -> Option<ClientAddress> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().into())
}

impl FromRequestParts<Arc<Bff>> for Customer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, bff: &Arc<Bff>) -> Result<Self, Problem> {
        if parts.headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
            let detail = "the header Authorization came more than once; send one";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "AUTHORIZATION_REPEATED", detail));
        }
        let token = bearer(&parts.headers).ok_or_else(|| {
            let detail = "send the header Authorization: Bearer <token>; POST /v1/sessions gives you a token";
            Problem::new(StatusCode::UNAUTHORIZED, "SESSION_MISSING", detail)
        })?;
        let session = session::verify(&bff.session_key, token, Utc::now())
            .map_err(|error| Problem::new(StatusCode::UNAUTHORIZED, "SESSION_INVALID", error.to_string()))?;
        bff.rate_limit.admit(Client::Customer(session.customer)).await?;
        Ok(Self(session))
    }
}

impl FromRequestParts<Arc<Bff>> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, bff: &Arc<Bff>) -> Result<Self, Problem> {
        // The server adds the peer's address to every request; a router that is called directly, in tests, has none.
        if let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
            bff.rate_limit.admit(Client::Address(peer.ip())).await?;
        }
        Ok(Self)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl From<TooMany> for Problem {
    fn from(refused: TooMany) -> Self {
        let detail = "too many requests; wait as long as Retry-After says";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail).retry_after(refused.retry_after)
    }
}
