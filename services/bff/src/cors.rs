//! Pages of other origins: which of them may ask, from a list in the configuration. The list is empty as a rule, and then no browser is
//! told anything; a page that is served from the same origin needs none.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember what it was told. Each takes less than some limit of its own.
const REMEMBERED_FOR: Duration = Duration::from_secs(600);

/// An origin as browsers send it: `https://shop.example`, `http://localhost:5173`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// The text is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is http:// or https://, a host in small letters and a port if it is not the usual one, with nothing behind; \"*\" and \"null\" are none"
)]
pub struct NotAnOrigin;

/// Which pages may ask.
#[derive(Debug, Clone, Default)]
pub struct Cors(Vec<HeaderValue>);

impl Cors {
    /// Those of these origins.
    pub fn new(origins: impl IntoIterator<Item = Origin>) -> Self {
        Self(origins.into_iter().map(|origin| origin.0).collect())
    }

    /// What answers browsers; `None` when no page may ask. Sessions travel in a header that a page has to set itself, never in cookies, so
    /// browsers are not told to send any (no credentials).
    pub(crate) fn layer(&self) -> Option<CorsLayer> {
        const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
        const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
        if self.0.is_empty() {
            return None;
        }
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY, TRACEPARENT])
            .expose_headers([LOCATION, RETRY_AFTER, TRACEPARENT])
            .max_age(REMEMBERED_FOR);
        Some(layer)
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let uri: Uri = text.parse().map_err(|_| NotAnOrigin)?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or(NotAnOrigin)?;
        let is_origin = matches!(scheme, "http" | "https")
            && format!("{scheme}://{authority}") == text
            && !authority.as_str().contains(['@', '*'])
            && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if is_origin { text.parse().map(Self).map_err(|_| NotAnOrigin) } else { Err(NotAnOrigin) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends_and_never_everybody() {
        for origin in ["https://shop.example", "http://localhost:5173", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert_eq!(origin.parse::<Origin>().map(|origin| origin.to_string()), Ok(origin.to_owned()));
        }
        for refused in [
            "*",
            "null",
            "",
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://shop.example/x",
            "https://*.example",
            "https://Shop.example",
            "ftp://shop.example",
            "https://a@shop.example",
            "https://shop.example?x",
        ] {
            assert_eq!(refused.parse::<Origin>(), Err(NotAnOrigin), "{refused:?}");
        }
    }
}
