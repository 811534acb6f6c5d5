//! What handlers take from a request; each refuses with a problem that names the field.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, RawPathParams, Request};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use ids::{ChosenName as _, IdempotencyKey};
use limits::BODY_BYTES_MAX;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use crate::problem::Problem;

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
        let mut values = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let value = values.next().ok_or_else(|| {
            let detail = "send the header Idempotency-Key; repeat it when you repeat the request";
            Problem::new(StatusCode::BAD_REQUEST, "IDEMPOTENCY_KEY_MISSING", detail)
        })?;
        // One of them would be taken and the other not: a repeat that sends them in another order would be a second request.
        if values.next().is_some() {
            let detail = "the header Idempotency-Key came more than once; send one";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "IDEMPOTENCY_KEY_REPEATED", detail));
        }
        // What is no text is no key either; the refusal is that of the empty one.
        let key = IdempotencyKey::chosen(value.to_str().unwrap_or_default());
        let key = key.map_err(|error| Problem::invalid_field(IDEMPOTENCY_KEY, error.to_string()))?;
        Ok(Self(key.as_str().to_owned()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Segments<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Nothing of ours is named after a card, so it goes no further than this.
        let segments = RawPathParams::from_request_parts(parts, state).await.map_err(|_| not_found())?;
        if let Some((field, _)) = segments.iter().find(|(_, segment)| text::card_number::is_in(segment)) {
            return Err(Problem::invalid_field(field, text::Illegible::CardNumber.to_string()));
        }
        // What is not text cannot name anything we have.
        let segments = Path::from_request_parts(parts, state).await.map(|Path(segments)| Self(segments));
        segments.map_err(|_| not_found())
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named =
            Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|Query(named)| named).unwrap_or_default();
        if let Some((field, _)) = named.iter().find(|(_, value)| text::card_number::is_in(value)) {
            return Err(Problem::invalid_field(field, text::Illegible::CardNumber.to_string()));
        }
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
            let detail = "send the body as JSON in UTF-8, with Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail));
        }
        is_plain(&parts.headers)?;
        // It is in memory, and not too large, since before the request was let in.
        let bytes = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_default();
        without_card_number(&bytes)?;
        if bytes.starts_with(b"\xef\xbb\xbf") {
            let detail = "the body is not JSON: it begins with a byte order mark; leave it out";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", detail));
        }
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

/// Refuses a body that is compressed, which we do not undo, with what to do about it (RFC 9110, 15.5.16).
#[expect(clippy::result_large_err, reason = "a problem is an answer, made once a request at most")]
fn is_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let plain = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(plain) {
        return Ok(());
    }
    let detail = "the body is compressed; send it as it is, without Content-Encoding";
    let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_CONTENT_ENCODING", detail);
    Err(problem.with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (essence, parameters) = media_type.split_once(';').unwrap_or((media_type, ""));
    // JSON between systems is UTF-8 (RFC 8259, 8.1); a client that says it sends something else would be told of malformed JSON.
    let mut charsets =
        parameters.split(';').filter_map(|parameter| parameter.trim().split_once('=')).filter(is_charset);
    essence.trim().eq_ignore_ascii_case("application/json") && charsets.all(|(_, charset)| is_utf8(charset))
}

fn is_charset((name, _): &(&str, &str)) -> bool {
    name.eq_ignore_ascii_case("charset")
}

fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// Refuses a body with a card number in it, in whichever field, as text or as a number. The services refuse it too, each field by its own
/// rule; here it ends before it is a request to anybody.
#[expect(clippy::result_large_err, reason = "a problem is an answer, made once a request at most")]
fn without_card_number(bytes: &[u8]) -> Result<(), Problem> {
    let text = String::from_utf8_lossy(bytes);
    // An escape may hide digits; nearly every body ends here.
    if !text::card_number::is_in(&text) && !text.contains("\\u") {
        return Ok(());
    }
    let Ok(body) = serde_json::from_slice::<Value>(bytes) else { return Ok(()) };
    match card_number_in(&body, String::new()) {
        Some(field) if field == "card_token" => {
            Err(Problem::invalid_field(field, text::card_token::NotAToken.to_string()))
        }
        Some(field) => Err(Problem::invalid_field(field, text::Illegible::CardNumber.to_string())),
        None => Ok(()),
    }
}

/// Where in `value`, which stands at `path`, there is a card number.
fn card_number_in(value: &Value, path: String) -> Option<String> {
    let is_in = match value {
        Value::String(text) => text::card_number::is_in(text),
        Value::Number(number) => text::card_number::is_in(&number.to_string()),
        Value::Array(items) => {
            let mut items = items.iter().enumerate();
            return items.find_map(|(index, item)| card_number_in(item, format!("{path}[{index}]")));
        }
        Value::Object(fields) => {
            return fields.iter().find_map(|(name, field)| match path.as_str() {
                // The number is what the client called a field.
                _ if text::card_number::is_in(name) => Some("body".to_owned()),
                "" => card_number_in(field, name.clone()),
                path => card_number_in(field, format!("{path}.{name}")),
            });
        }
        Value::Null | Value::Bool(_) => false,
    };
    is_in.then_some(path)
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
    // "invalid type: integer `17`, expected a string": what was sent is the client's, and may be a card number.
    let description = match description.rsplit_once(", expected ") {
        Some((_, expected)) => format!("must be {}", in_words(expected)),
        None => description.to_owned(),
    };
    // A missing field is reported at its parent; name the field itself.
    let missing = description.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    match missing {
        Some(field) if path.is_empty() => Problem::invalid_field(field, "is missing"),
        Some(field) => Problem::invalid_field(format!("{path}.{field}"), "is missing"),
        None if path.is_empty() => Problem::invalid_field("body", description),
        None => Problem::invalid_field(path, description),
    }
}

/// What Serde expects, in the words of JSON rather than of Rust.
fn in_words(expected: &str) -> &str {
    match expected {
        "i64" | "i32" | "u64" | "u32" => "a whole number",
        "a sequence" => "a list",
        _ if expected.starts_with("struct ") => "an object",
        other => other,
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "MALFORMED_JSON", format!("the body is not JSON: {error}"))
}

/// 404 for a path that leads nowhere.
pub(crate) fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "NO_SUCH_RESOURCE", "nothing is found under this path")
}
