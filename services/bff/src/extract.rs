//! What handlers take from a request; each refuses with a problem that names the field.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use ids::IdempotencyKey;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::problem::Problem;

/// Largest body, in bytes: a return of 1,500 lines is about 60 KB.
const BODY_BYTES_MAX: usize = 64 * 1024;
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The JSON body.
pub(crate) struct Json<T>(pub(crate) T);

/// Parts of the path.
pub(crate) struct Segments<T>(pub(crate) T);

/// Parameters behind the question mark.
pub(crate) struct Parameters<T>(pub(crate) T);

/// The idempotency key of a mutating request.
pub(crate) struct Key(pub(crate) String);

impl<S: Sync> FromRequestParts<S> for Key {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let value = parts.headers.get(IDEMPOTENCY_KEY).ok_or_else(|| {
            let detail = "send the header Idempotency-Key; repeat it when you repeat the request";
            Problem::new(StatusCode::BAD_REQUEST, "IDEMPOTENCY_KEY_MISSING", detail)
        })?;
        let key = value.to_str().ok().and_then(|value| value.parse::<IdempotencyKey>().ok());
        let key =
            key.ok_or_else(|| Problem::invalid_field(IDEMPOTENCY_KEY, "must be 1 to 128 visible ASCII characters"))?;
        Ok(Self(key.as_str().to_owned()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // What is not text cannot name anything we have.
        let segments = Path::from_request_parts(parts, state).await.map(|Path(segments)| Self(segments));
        segments.map_err(|_| not_found())
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(parameters)) => Ok(Self(parameters)),
            Err(rejection) => {
                let text = rejection.body_text();
                // "Failed to deserialize query string: page_size: invalid digit found in string"
                let mut reasons = text.splitn(3, ": ").skip(1);
                let field = reasons.next().unwrap_or("query").to_owned();
                Err(Problem::invalid_field(field, reasons.next().unwrap_or("does not parse")))
            }
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            let detail = "send the body as JSON, with Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
        }
        let bytes = read(&parts.headers, body).await?;
        // Serde would take `["85123A", 2]` for an object as well.
        if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(match serde_json::from_slice::<IgnoredAny>(&bytes) {
                Ok(_) => Problem::invalid_field("body", "must be an object"),
                Err(error) => malformed(&error),
            });
        }
        // The quick way first; only a body that fails is read again, to learn where.
        serde_json::from_slice(&bytes).map(Self).map_err(|error| explain::<T>(&bytes, &error))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!("the body is larger than {BODY_BYTES_MAX} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", detail)
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|error| {
        let is_too_large = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source())
            .any(|error| error.is::<http_body_util::LengthLimitError>());
        if is_too_large {
            return too_large();
        }
        Problem::new(StatusCode::BAD_REQUEST, "BODY_UNREADABLE", "the body ended early")
    })
}

/// Why a body that did not deserialise is refused. Reads it again, keeping track of the path.
fn explain<T: DeserializeOwned>(bytes: &[u8], error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return malformed(error);
    }
    let tracked: Result<T, _> = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(bytes));
    let path = tracked.err().map(|error| error.path().to_string()).filter(|path| path != ".").unwrap_or_default();
    let message = error.to_string();
    let description = message.split(" at line ").next().unwrap_or(&message);
    // A missing field is reported at its parent; name the field itself.
    let missing = description.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match missing {
        Some(field) if path.is_empty() => Problem::invalid_field(field, "is missing"),
        Some(field) => Problem::invalid_field(format!("{path}.{field}"), "is missing"),
        None if path.is_empty() => Problem::invalid_field("body", description),
        None => Problem::invalid_field(path, description),
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", format!("the body is not JSON: {error}"))
}

/// 404 for a path that leads nowhere.
pub(crate) fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "NO_SUCH_RESOURCE", "nothing is found under this path")
}
