//! Sessions: a new customer each. There are no user accounts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use ids::CustomerId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller::Anyone;
use crate::problem::Problem;
use crate::{Bff, session};

/// How long a session is good. Nothing is stored, so nothing can be revoked; losing a token must not matter for ever.
const LIFE: TimeDelta = TimeDelta::days(7);

/// A session.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// Send it as `Authorization: Bearer <token>`.
    token: String,
    /// Whose carts and orders these will be. It names the region where the session began, in which their carts are ordered.
    customer_id: Uuid,
    /// When the token stops working, RFC 3339.
    expires_at: DateTime<Utc>,
}

/// Begins a session for a new customer.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", security(()), responses(
    (status = 201, description = "The session", body = Session),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn create(State(bff): State<Arc<Bff>>, _: Anyone) -> (StatusCode, Json<Session>) {
    let customer = CustomerId::generate_in(bff.region);
    let expires_at = (Utc::now() + LIFE).trunc_subsecs(0);
    let token = session::mint(&bff.session_key, customer, expires_at);
    (StatusCode::CREATED, Json(Session { token, customer_id: customer.as_uuid(), expires_at }))
}
