//! The provider over HTTP.

use std::time::Duration;

use chassis::trace_context;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use ids::{OrderId, RefundId};
use money::Money;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Call, CallError};
use super::guard::{Guard, GuardConfig};
use super::key::{self, IdempotencyKey};
use super::wire::{AuthoriseBody, Empty, IntentBody, List, ReceiptBody, RefundBody};
use super::{Intent, Page, Provider, Receipt, Span, StatedIntent, StatedRefund, Statement};
use crate::domain::{CardToken, IntentId};

/// Longest answer that is read, in bytes. An intent has about 300, and a page of a list a hundred of them.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Idle connections kept: as many as calls usually run at once.
const IDLE_CONNECTIONS_MAX: usize = 32;

/// Elements of a page: the most that the provider gives.
const PAGE: &str = "100";

/// How to reach the provider.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Base address, such as `http://127.3.0.20:8080`.
    pub url: String,
    /// The account's secret. Never logged.
    pub api_key: ApiKey,
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// How long one call may take, its answer included. Longer ones are in doubt.
    pub request_timeout: Duration,
    /// Breaker, retries.
    pub guard: GuardConfig,
}

/// The account's secret, which prints as dots.
#[derive(Clone)]
pub struct ApiKey(String);

impl ApiKey {
    /// Wraps the text of the key's file.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// The provider cannot be called with these settings.
#[derive(Debug, thiserror::Error)]
pub enum InvalidClientConfig {
    /// Not a URL.
    #[error("the provider's URL is not one that paths can be added to")]
    Url,
    /// Not fit for a header.
    #[error("the provider's api key is empty or holds characters that no header can carry")]
    ApiKey,
    /// The HTTP client cannot be built.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}

/// The provider over HTTP. Connections are pooled.
#[derive(Debug)]
pub struct HttpProvider {
    client: reqwest::Client,
    base: Url,
    guard: Guard,
}

impl HttpProvider {
    /// A client that connects on first use.
    ///
    /// # Errors
    /// [`InvalidClientConfig`].
    pub fn new(config: ClientConfig) -> Result<Self, InvalidClientConfig> {
        let base =
            Url::parse(&config.url).ok().filter(|url| !url.cannot_be_a_base()).ok_or(InvalidClientConfig::Url)?;
        if config.api_key.0.is_empty() {
            return Err(InvalidClientConfig::ApiKey);
        }
        let mut bearer =
            HeaderValue::try_from(format!("Bearer {}", config.api_key.0)).map_err(|_| InvalidClientConfig::ApiKey)?;
        bearer.set_sensitive(true);
        let client = reqwest::Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .tcp_nodelay(true)
            // Following a redirect would send the api key wherever it points.
            .redirect(reqwest::redirect::Policy::none())
            // Straight to the configured address, whatever proxy the environment names.
            .no_proxy()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
            .build()?;
        Ok(Self { client, base, guard: Guard::new(config.guard) })
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            // Pushing percent-encodes: an id of the provider cannot change the path.
            segments.pop_if_empty().extend(path);
        }
        url
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let mut headers = HeaderMap::new();
        trace_context::inject(&mut headers);
        self.client.request(method, url).headers(headers)
    }

    /// Moves money: `key` makes a repeat harmless.
    async fn post<T: DeserializeOwned>(
        &self,
        call: Call,
        path: &[&str],
        key: IdempotencyKey,
        body: &impl Serialize,
    ) -> Result<T, CallError> {
        let request = || self.request(Method::POST, self.url(path)).header("idempotency-key", key.header()).json(body);
        self.send(call, request).await
    }

    /// Asks for the one thing made under `reference`.
    async fn ask<T: DeserializeOwned>(&self, collection: &str, reference: String) -> Result<Option<T>, CallError> {
        let mut url = self.url(&["v1", collection]);
        url.query_pairs_mut().append_pair("reference", &reference);
        let List { mut data, .. } = self.send(Call::Ask, || self.request(Method::GET, url.clone())).await?;
        if data.len() > 1 {
            // Under one idempotency key there can only be one. Whoever made the other, a person must look.
            tracing::error!(collection, reference, count = data.len(), "the provider has several under one reference");
            return Err(CallError::refused("several under one reference"));
        }
        Ok(data.pop())
    }

    async fn page<Body, T>(&self, collection: &str, span: Span, after: Option<&str>) -> Result<Page<T>, CallError>
    where
        Body: DeserializeOwned,
        T: TryFrom<Body, Error: std::fmt::Display> + HasId,
    {
        let mut url = self.url(&["v1", collection]);
        url.query_pairs_mut()
            .append_pair("created[gte]", &span.from.to_string())
            .append_pair("created[lt]", &span.to.to_string())
            .append_pair("limit", PAGE);
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("starting_after", after);
        }
        let list: List<Body> = self.send(Call::Ask, || self.request(Method::GET, url.clone())).await?;
        let data = list.data.into_iter().map(readable).collect::<Result<Vec<T>, _>>()?;
        let next = data.last().filter(|_| list.has_more).map(|last| last.id().into());
        Ok(Page { data, next })
    }

    async fn under<Body, T>(&self, collection: &str, reference: &str) -> Result<Vec<T>, CallError>
    where
        Body: DeserializeOwned,
        T: TryFrom<Body, Error: std::fmt::Display>,
    {
        let mut url = self.url(&["v1", collection]);
        url.query_pairs_mut().append_pair("reference", reference);
        let list: List<Body> = self.send(Call::Ask, || self.request(Method::GET, url.clone())).await?;
        list.data.into_iter().map(readable).collect()
    }

    async fn send<T: DeserializeOwned>(
        &self,
        call: Call,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<T, CallError> {
        let mut tries = 1;
        loop {
            self.guard.admit()?;
            let result = try_once(call, request()).await;
            self.guard.record(&result);
            let label = result.as_ref().map_or_else(CallError::label, |_| "answered");
            metrics::counter!("psp_calls_total", "call" => call.label(), "outcome" => label).increment(1);
            let Err(error) = result else { return result };
            let Some(wait) = self.guard.wait_before_retry(&error, tries) else { return Err(error) };
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }
}

async fn try_once<T: DeserializeOwned>(call: Call, request: RequestBuilder) -> Result<T, CallError> {
    let response = request.send().await.map_err(|error| CallError::from_transport(&error))?;
    let status = response.status();
    let body = read_bounded(response).await?;
    if !status.is_success() {
        return Err(CallError::from_answer(call, status, &body));
    }
    // A success that cannot be read has most likely done the work.
    serde_json::from_slice(&body).map_err(|_| CallError::unknown("the answer is not the JSON that was expected"))
}

async fn read_bounded(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    // The head has arrived, so the request was processed or is being so: whatever breaks now is unknown.
    while let Some(chunk) = response.chunk().await.map_err(|_| CallError::unknown("the answer broke off"))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(CallError::unknown("the answer is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An answer with an unknown word in it has most likely done the work too.
fn readable<T, Body>(body: Body) -> Result<T, CallError>
where
    T: TryFrom<Body, Error: std::fmt::Display>,
{
    T::try_from(body).map_err(|error| CallError::unknown(&error.to_string()))
}

impl Provider for HttpProvider {
    async fn authorise(&self, order: OrderId, amount: Money, card: &CardToken) -> Result<Intent, CallError> {
        let currency = amount.currency();
        let reference = order.to_string();
        let body = AuthoriseBody {
            amount: amount.minor_units(),
            currency: currency.code(),
            payment_method: card.expose(),
            reference: &reference,
        };
        let path = ["v1", "payment_intents"];
        readable(self.post::<IntentBody>(Call::Authorise, &path, key::authorise(order), &body).await?)
    }

    async fn capture(&self, order: OrderId, intent: &IntentId) -> Result<Intent, CallError> {
        let path = ["v1", "payment_intents", intent.as_str(), "capture"];
        readable(self.post::<IntentBody>(Call::Capture, &path, key::capture(order), &Empty {}).await?)
    }

    async fn void(&self, order: OrderId, intent: &IntentId) -> Result<Intent, CallError> {
        let path = ["v1", "payment_intents", intent.as_str(), "cancel"];
        readable(self.post::<IntentBody>(Call::Void, &path, key::void(order), &Empty {}).await?)
    }

    async fn refund(&self, refund: RefundId, intent: &IntentId, amount_minor: i64) -> Result<Receipt, CallError> {
        let reference = refund.to_string();
        let body = RefundBody { payment_intent: intent.as_str(), amount: amount_minor, reference: &reference };
        readable(self.post::<ReceiptBody>(Call::Refund, &["v1", "refunds"], key::refund(refund), &body).await?)
    }

    async fn intent_of(&self, order: OrderId) -> Result<Option<Intent>, CallError> {
        self.ask::<IntentBody>("payment_intents", order.to_string()).await?.map(readable).transpose()
    }

    async fn intent(&self, intent: &IntentId) -> Result<Intent, CallError> {
        let path = ["v1", "payment_intents", intent.as_str()];
        let url = self.url(&path);
        readable(self.send::<IntentBody>(Call::Ask, || self.request(Method::GET, url.clone())).await?)
    }

    async fn refund_of(&self, refund: RefundId) -> Result<Option<Receipt>, CallError> {
        self.ask::<ReceiptBody>("refunds", refund.to_string()).await?.map(readable).transpose()
    }

    fn is_reachable(&self) -> bool {
        self.guard.is_closed()
    }
}

/// What a page goes on after.
trait HasId {
    fn id(&self) -> &str;
}

impl HasId for StatedIntent {
    fn id(&self) -> &str {
        self.intent.id.as_str()
    }
}

impl HasId for StatedRefund {
    fn id(&self) -> &str {
        &self.receipt.id
    }
}

impl Statement for HttpProvider {
    async fn intents(&self, span: Span, after: Option<&str>) -> Result<Page<StatedIntent>, CallError> {
        self.page::<IntentBody, _>("payment_intents", span, after).await
    }

    async fn refunds(&self, span: Span, after: Option<&str>) -> Result<Page<StatedRefund>, CallError> {
        self.page::<ReceiptBody, _>("refunds", span, after).await
    }

    async fn intents_under(&self, reference: &str) -> Result<Vec<StatedIntent>, CallError> {
        self.under::<IntentBody, _>("payment_intents", reference).await
    }

    async fn refunds_under(&self, reference: &str) -> Result<Vec<StatedRefund>, CallError> {
        self.under::<ReceiptBody, _>("refunds", reference).await
    }
}
