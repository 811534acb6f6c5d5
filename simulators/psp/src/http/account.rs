//! Who calls: the account behind the bearer token, and the request's key.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::{Shared, answer};
use crate::config::Account;

/// The calling account.
pub(super) struct Caller(pub Account);

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Response> {
        let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default().as_bytes();
        let account = shared.accounts.iter().find(|account| bool::from(account.api_key.as_bytes().ct_eq(token)));
        account.cloned().map(Self).ok_or_else(answer::unauthorised)
    }
}

/// The `Idempotency-Key`, which every request that changes something must carry.
pub(super) struct Key(pub Box<str>);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let value = parts.headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if value.is_empty() || value.len() > 255 {
            return Err(answer::invalid("idempotency_key_missing", "Idempotency-Key must be 1 to 255 characters"));
        }
        Ok(Self(value.into()))
    }
}
