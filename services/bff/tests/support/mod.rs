//! The services behind the bff, played by one fake that remembers what it was asked and refuses when told to.

pub mod events;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use bff::cors::Cors;
use bff::event_streams::{EventStreams, StreamsMax};
use bff::rate_limit::{Quota, RateLimit};
use bff::session::{SessionKey, mint};
use bff::{Backends, Bff, CartChanges, Carts, Catalog, Orders};
use chassis::server::{Places, PlacesMax};
use chrono::{TimeDelta, Utc};
use contracts::cart::v1 as cart;
use contracts::catalog::v1 as catalog;
use contracts::money::v1::{Money, PricedUnits};
use contracts::order::v1 as order;
use futures::stream::{self, BoxStream, StreamExt as _};
use http_body_util::BodyExt as _;
use ids::CustomerId;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Response as Answer, Status};
use tower::ServiceExt as _;

pub const NO_REDIS: &str = "redis://127.0.0.1:1";
/// Requests that a rig serves at once.
pub const IN_FLIGHT_MAX: usize = 64;

const PLACES: PlacesMax = PlacesMax { all: IN_FLIGHT_MAX, per_address: IN_FLIGHT_MAX, per_session: IN_FLIGHT_MAX / 4 };

/// Room for so many streams, all of which may be one client's.
fn streams(all: usize) -> StreamsMax {
    StreamsMax { all, per_address: all, per_session: all + 1 }
}

/// What a service was asked: the method, the request as text, and the trace it came under.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: &'static str,
    pub request: String,
    pub traceparent: Option<String>,
    pub timeout: Option<String>,
}

/// Sends one of those who watch what comes next; closed once they have gone.
pub type Watcher = mpsc::Sender<Result<cart::WatchCartResponse, Status>>;

#[derive(Clone, Default)]
pub struct Fake {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    refusal: Arc<Mutex<Option<Status>>>,
    order_state: Arc<Mutex<order::OrderState>>,
    watchers: Arc<Mutex<Vec<Watcher>>>,
    large: Arc<AtomicBool>,
}

impl Fake {
    /// Every call is refused like this from now on.
    pub fn refuse(&self, status: Status) {
        *self.refusal.lock().unwrap() = Some(status);
    }

    /// Orders stand like this from now on.
    pub fn order_is(&self, state: order::OrderState) {
        *self.order_state.lock().unwrap() = state;
    }

    /// Orders have as many lines as they may from now on, each as long as it may be.
    pub fn orders_are_as_large_as_they_may_be(&self) {
        self.large.store(true, Ordering::Relaxed);
    }

    /// Whoever began to watch last.
    pub fn watcher(&self) -> Watcher {
        self.watchers.lock().unwrap().last().unwrap().clone()
    }

    fn answer<Q: std::fmt::Debug, A>(
        &self,
        method: &'static str,
        request: &tonic::Request<Q>,
        answer: A,
    ) -> Result<Answer<A>, Status> {
        let header = |name| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (traceparent, timeout) = (header("traceparent"), header("grpc-timeout"));
        let request = format!("{:?}", request.get_ref());
        self.seen.lock().unwrap().push(Seen { method, request, traceparent, timeout });
        match &*self.refusal.lock().unwrap() {
            Some(status) => Err(status.clone()),
            None => Ok(Answer::new(answer)),
        }
    }

    fn order(&self) -> Option<order::Order> {
        let state = *self.order_state.lock().unwrap();
        Some(order::Order {
            order_id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            state: state.into(),
            total: money(590),
            lines: if self.large.load(Ordering::Relaxed) { long_lines() } else { Vec::new() },
            ..order::Order::default()
        })
    }
}

fn long_lines() -> Vec<order::OrderLine> {
    let name = |number: usize| format!("{number:x>width$}", width = limits::NAME_BYTES_MAX);
    let line = |number| order::OrderLine {
        offer_id: name(number),
        seller_id: name(number),
        title: "\u{1fad6}".repeat(limits::TEXT_CHARS_MAX),
        unit_price: money(limits::AMOUNT_MINOR_MAX),
        quantity: 1_000_000,
        returned_quantity: 1_000_000,
        ..order::OrderLine::default()
    };
    (0..limits::LINES_MAX).map(line).collect()
}

fn money(minor_units: i64) -> Option<Money> {
    Some(Money { minor_units, currency_code: "GBP".into() })
}

fn priced(minor_units: i64, quantity: i64) -> PricedUnits {
    PricedUnits { unit_price: money(minor_units), quantity }
}

fn line() -> Option<cart::CartLine> {
    let text = String::from;
    Some(cart::CartLine {
        offer_id: text("85123A"),
        seller_id: text("alder"),
        title: text("T-light holder"),
        unit_price: money(295),
        quantity: 2,
        prices: vec![priced(295, 1), priced(250, 1)],
    })
}

fn address(street: &str) -> cart::DeliveryAddress {
    cart::DeliveryAddress { street: street.into(), country: "France".into(), ..cart::DeliveryAddress::default() }
}

fn a_cart() -> Option<cart::Cart> {
    Some(cart::Cart {
        cart_id: "c".into(),
        version: "v1".into(),
        lines: line().into_iter().collect(),
        total: money(590),
        ordered_twice: Vec::new(),
        delivery_addresses: ["1 Home Lane", "2 Work Street"].map(address).into(),
    })
}

/// The cart in another version, with so many units and this title.
pub fn changed(version: &str, quantity: i64, title: &str) -> cart::WatchCartResponse {
    let line = line().map(|line| cart::CartLine { quantity, title: title.into(), prices: Vec::new(), ..line });
    let cart = a_cart().map(|cart| cart::Cart { version: version.into(), lines: line.into_iter().collect(), ..cart });
    cart::WatchCartResponse { cart }
}

#[tonic::async_trait]
impl cart::cart_service_server::CartService for Fake {
    async fn create_cart(
        &self,
        request: tonic::Request<cart::CreateCartRequest>,
    ) -> Result<Answer<cart::CreateCartResponse>, Status> {
        self.answer("CreateCart", &request, cart::CreateCartResponse { cart: a_cart() })
    }

    async fn get_cart(
        &self,
        request: tonic::Request<cart::GetCartRequest>,
    ) -> Result<Answer<cart::GetCartResponse>, Status> {
        self.answer("GetCart", &request, cart::GetCartResponse { cart: a_cart() })
    }

    type WatchCartStream = BoxStream<'static, Result<cart::WatchCartResponse, Status>>;

    async fn watch_cart(
        &self,
        request: tonic::Request<cart::WatchCartRequest>,
    ) -> Result<Answer<Self::WatchCartStream>, Status> {
        let first = cart::WatchCartResponse { cart: a_cart() };
        let (watcher, messages) = mpsc::channel(1);
        let carts = stream::once(async { Ok(first) }).chain(ReceiverStream::new(messages)).boxed();
        let answer = self.answer("WatchCart", &request, carts)?;
        self.watchers.lock().unwrap().push(watcher);
        Ok(answer)
    }

    async fn add_line(
        &self,
        request: tonic::Request<cart::AddLineRequest>,
    ) -> Result<Answer<cart::AddLineResponse>, Status> {
        self.answer("AddLine", &request, cart::AddLineResponse { line: line(), version: "v2".into() })
    }

    async fn set_line_quantity(
        &self,
        request: tonic::Request<cart::SetLineQuantityRequest>,
    ) -> Result<Answer<cart::SetLineQuantityResponse>, Status> {
        self.answer("SetLineQuantity", &request, cart::SetLineQuantityResponse { line: line(), version: "v2".into() })
    }

    async fn remove_line(
        &self,
        request: tonic::Request<cart::RemoveLineRequest>,
    ) -> Result<Answer<cart::RemoveLineResponse>, Status> {
        self.answer("RemoveLine", &request, cart::RemoveLineResponse { version: "v2".into() })
    }

    async fn set_delivery_address(
        &self,
        request: tonic::Request<cart::SetDeliveryAddressRequest>,
    ) -> Result<Answer<cart::SetDeliveryAddressResponse>, Status> {
        self.answer("SetDeliveryAddress", &request, cart::SetDeliveryAddressResponse { version: "v2".into() })
    }

    async fn clear_delivery_address(
        &self,
        request: tonic::Request<cart::ClearDeliveryAddressRequest>,
    ) -> Result<Answer<cart::ClearDeliveryAddressResponse>, Status> {
        self.answer("ClearDeliveryAddress", &request, cart::ClearDeliveryAddressResponse { version: "v2".into() })
    }

    async fn begin_checkout(
        &self,
        _: tonic::Request<cart::BeginCheckoutRequest>,
    ) -> Result<Answer<cart::BeginCheckoutResponse>, Status> {
        Err(Status::unimplemented("not the bff's to call"))
    }

    async fn abandon_checkout(
        &self,
        _: tonic::Request<cart::AbandonCheckoutRequest>,
    ) -> Result<Answer<cart::AbandonCheckoutResponse>, Status> {
        Err(Status::unimplemented("not the bff's to call"))
    }
}

#[tonic::async_trait]
impl catalog::catalog_service_server::CatalogService for Fake {
    async fn get_offer(
        &self,
        request: tonic::Request<catalog::GetOfferRequest>,
    ) -> Result<Answer<catalog::GetOfferResponse>, Status> {
        let offer = catalog::Offer { unit_price: money(295), ..catalog::Offer::default() };
        self.answer("GetOffer", &request, catalog::GetOfferResponse { offer: Some(offer), available_here: 7 })
    }

    async fn list_offers(
        &self,
        request: tonic::Request<catalog::ListOffersRequest>,
    ) -> Result<Answer<catalog::ListOffersResponse>, Status> {
        self.answer("ListOffers", &request, catalog::ListOffersResponse::default())
    }

    async fn batch_get_offers(
        &self,
        _: tonic::Request<catalog::BatchGetOffersRequest>,
    ) -> Result<Answer<catalog::BatchGetOffersResponse>, Status> {
        Err(Status::unimplemented("not the bff's to call"))
    }

    async fn upsert_offers(
        &self,
        _: tonic::Request<catalog::UpsertOffersRequest>,
    ) -> Result<Answer<catalog::UpsertOffersResponse>, Status> {
        Err(Status::unimplemented("not the bff's to call"))
    }
}

#[tonic::async_trait]
impl order::order_service_server::OrderService for Fake {
    async fn place_order(
        &self,
        request: tonic::Request<order::PlaceOrderRequest>,
    ) -> Result<Answer<order::PlaceOrderResponse>, Status> {
        self.answer("PlaceOrder", &request, order::PlaceOrderResponse { order: self.order() })
    }

    async fn get_order(
        &self,
        request: tonic::Request<order::GetOrderRequest>,
    ) -> Result<Answer<order::GetOrderResponse>, Status> {
        self.answer("GetOrder", &request, order::GetOrderResponse { order: self.order() })
    }

    async fn list_orders(
        &self,
        request: tonic::Request<order::ListOrdersRequest>,
    ) -> Result<Answer<order::ListOrdersResponse>, Status> {
        let orders = self.order().into_iter().collect();
        self.answer(
            "ListOrders",
            &request,
            order::ListOrdersResponse { orders, next_page_token: "next".into(), ..Default::default() },
        )
    }

    async fn cancel_order(
        &self,
        request: tonic::Request<order::CancelOrderRequest>,
    ) -> Result<Answer<order::CancelOrderResponse>, Status> {
        self.answer("CancelOrder", &request, order::CancelOrderResponse { order: self.order() })
    }

    async fn return_order(
        &self,
        request: tonic::Request<order::ReturnOrderRequest>,
    ) -> Result<Answer<order::ReturnOrderResponse>, Status> {
        let returned = order::ReturnOrderResponse {
            return_id: "r".into(),
            refund: money(295),
            refunded: true,
            order: self.order(),
        };
        self.answer("ReturnOrder", &request, returned)
    }

    async fn get_order_fate(
        &self,
        _: tonic::Request<order::GetOrderFateRequest>,
    ) -> Result<Answer<order::GetOrderFateResponse>, Status> {
        Err(Status::unimplemented("not the bff's to call"))
    }
}

/// The bff with the fake behind it.
pub struct Rig {
    pub fake: Fake,
    pub router: Router,
    pub key: SessionKey,
    pub customer: CustomerId,
    pub event_streams: EventStreams,
}

impl Rig {
    pub async fn new() -> Self {
        Self::streaming(100, Duration::from_secs(300), CancellationToken::new()).await
    }

    /// With room for `max` streams of events of this life.
    pub async fn streaming(max: usize, life_max: Duration, draining: CancellationToken) -> Self {
        let quota = Quota { per_second: 10_000.try_into().unwrap(), burst: 10_000.try_into().unwrap() };
        Self::build(NO_REDIS, quota, EventStreams::new(streams(max), life_max, draining), Cors::default()).await
    }

    /// That pages of these origins may ask.
    pub async fn asked_by_pages_of(origins: &[&str]) -> Self {
        let quota = Quota { per_second: 10_000.try_into().unwrap(), burst: 10_000.try_into().unwrap() };
        let event_streams = EventStreams::new(streams(1), Duration::from_secs(1), CancellationToken::new());
        let cors = Cors::new(origins.iter().map(|origin| origin.parse().unwrap()));
        Self::build(NO_REDIS, quota, event_streams, cors).await
    }

    pub async fn with(redis_url: &str, quota: Quota) -> Self {
        let event_streams = EventStreams::new(streams(1), Duration::from_secs(1), CancellationToken::new());
        Self::build(redis_url, quota, event_streams, Cors::default()).await
    }

    async fn build(redis_url: &str, quota: Quota, event_streams: EventStreams, cors: Cors) -> Self {
        let fake = Fake::default();
        fake.order_is(order::OrderState::Placed);
        let url = format!("http://{}", serve(fake.clone()).await);
        let key = SessionKey::from_hex(&"5a".repeat(32)).unwrap();
        let bff = Bff {
            region: ids::Region::East,
            backends: Backends {
                carts: Carts::new(&url).unwrap(),
                cart_changes: CartChanges::new(&url).unwrap(),
                catalog: Catalog::new(&url).unwrap(),
                orders: Orders::new(&url).unwrap(),
            },
            session_key: key.clone(),
            rate_limit: RateLimit::new(redis_url, quota).unwrap(),
            in_flight: Places::new(PLACES),
            receiving: Places::new(PLACES),
            cors,
            event_streams: event_streams.clone(),
        };
        let router = bff::router(Arc::new(bff));
        Self { fake, router, key, customer: CustomerId::generate(), event_streams }
    }

    pub fn token(&self) -> String {
        mint(&self.key, self.customer, Utc::now() + TimeDelta::minutes(1))
    }

    /// A request with a session, a key and a JSON body.
    pub fn request(&self, method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.token()))
            .header("idempotency-key", "key-1")
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap()
    }

    /// The same request under a session of another customer.
    pub fn of_another(&self, mut request: Request<Body>) -> Request<Body> {
        let token = mint(&self.key, CustomerId::generate(), Utc::now() + TimeDelta::minutes(1));
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn ask(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.send(request).await;
        (response.status(), json(response).await)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.fake.seen.lock().unwrap().clone()
    }
}

pub async fn json(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("not JSON: {bytes:?}"))
}

async fn serve(fake: Fake) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(cart::cart_service_server::CartServiceServer::new(fake.clone()))
        .add_service(catalog::catalog_service_server::CatalogServiceServer::new(fake.clone()))
        .add_service(order::order_service_server::OrderServiceServer::new(fake));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}
