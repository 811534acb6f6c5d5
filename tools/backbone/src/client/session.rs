//! Sessions, minted with the deployment's own key: the replay's customers never sign in.

use std::path::Path;

use anyhow::Context;
use bff::session;
use chrono::{DateTime, Utc};
use hyper::header::HeaderValue;
use ids::CustomerId;

/// The key that every BFF of the deployment accepts sessions of.
#[derive(Clone, Debug)]
pub struct SessionKey(session::SessionKey);

/// A customer's session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Whose it is.
    pub customer: CustomerId,
    /// The `Authorization` header, ready to send.
    pub(super) authorization: HeaderValue,
}

impl SessionKey {
    /// A key from its text.
    ///
    /// # Errors
    /// It is not 64 hex characters.
    pub fn from_hex(text: &str) -> Result<Self, session::InvalidKey> {
        session::SessionKey::from_hex(text).map(Self)
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// The file is not there (the system was never brought up) or holds something else.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the session key {}; is the system up?", file.display()))?;
        Self::from_hex(&text).with_context(|| format!("{} does not hold a session key", file.display()))
    }

    /// A session of `customer` that lasts until `expires_at`.
    pub fn mint(&self, customer: CustomerId, expires_at: DateTime<Utc>) -> Session {
        let token = session::mint(&self.0, customer, expires_at);
        let authorization = HeaderValue::from_str(&format!("Bearer {token}"));
        // A token is base64url and dots, which every header can hold: the fallback is never taken.
        Session { customer, authorization: authorization.unwrap_or(HeaderValue::from_static("")) }
    }
}
