//! Who is asking, and whether they may ask again so soon. A handler that takes a [`Customer`] or an [`Anyone`] has had both
//! checked before the body is read.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};

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

    /// Until when the session is good.
    pub(crate) const fn session_ends_at(&self) -> DateTime<Utc> {
        self.0.ends_at
    }
}

impl FromRequestParts<Arc<Bff>> for Customer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, bff: &Arc<Bff>) -> Result<Self, Problem> {
        if parts.headers.get_all(AUTHORIZATION).iter().nth(1).is_some() {
            let detail = "the header Authorization came more than once; send one";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "AUTHORIZATION_REPEATED", detail));
        }
        let token = bearer(parts).ok_or_else(|| {
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

fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, token) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl From<TooMany> for Problem {
    fn from(refused: TooMany) -> Self {
        let detail = "too many requests; wait as long as Retry-After says";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", detail).retry_after(refused.retry_after)
    }
}
