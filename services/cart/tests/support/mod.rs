//! A cart service on a real database, with a catalogue of its own making.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

pub mod link;
pub mod process;
pub mod regions;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};

use cart::catalog::Catalog;
use cart::grpc::CartGrpc;
use cart::replication::Replica;
use chassis::client::{Dependency, DependencyConfig};
use contracts::cart::v1::cart_service_server::CartService as _;
use contracts::cart::v1::*;
use contracts::catalog::v1::catalog_service_server::{CatalogService, CatalogServiceServer};
use contracts::catalog::v1::*;
use contracts::money::v1::Money;
use ids::Region;
use sqlx::PgPool;
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// Offers `offer-0` … at a price that a test can change; anything else is not found.
#[derive(Clone, Default)]
pub struct FakeCatalog {
    pub price: Arc<AtomicI64>,
    /// Whether prices are in yen; otherwise in pounds.
    pub in_yen: Arc<AtomicBool>,
    pub calls: Arc<AtomicU32>,
}

#[tonic::async_trait]
impl CatalogService for FakeCatalog {
    async fn get_offer(&self, request: Request<GetOfferRequest>) -> Result<Response<GetOfferResponse>, Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let offer_id = request.into_inner().offer_id;
        if !offer_id.starts_with("offer-") {
            return Err(chassis::status::not_found("OFFER_NOT_FOUND", "no such offer"));
        }
        let currency = if self.in_yen.load(Ordering::Relaxed) { "JPY" } else { "GBP" };
        let unit_price = Money { minor_units: self.price.load(Ordering::Relaxed), currency_code: currency.to_owned() };
        let offer = Offer {
            offer_id,
            seller_id: "potters".to_owned(),
            title: "Mug".to_owned(),
            unit_price: Some(unit_price),
            attributes: Default::default(),
        };
        Ok(Response::new(GetOfferResponse { offer: Some(offer), available_here: 1 }))
    }

    async fn batch_get_offers(
        &self,
        _: Request<BatchGetOffersRequest>,
    ) -> Result<Response<BatchGetOffersResponse>, Status> {
        Err(Status::unimplemented("not asked by carts"))
    }

    async fn list_offers(&self, _: Request<ListOffersRequest>) -> Result<Response<ListOffersResponse>, Status> {
        Err(Status::unimplemented("not asked by carts"))
    }

    async fn upsert_offers(&self, _: Request<UpsertOffersRequest>) -> Result<Response<UpsertOffersResponse>, Status> {
        Err(Status::unimplemented("not asked by carts"))
    }
}

fn service(pool: &PgPool, catalog_url: &str, replica: Replica) -> CartGrpc {
    let dependency = Dependency::new("catalog", catalog_url, DependencyConfig::default()).unwrap();
    CartGrpc::new(pool.clone(), Catalog::new(dependency), replica)
}

/// A shopper with one cart.
#[derive(Clone)]
pub struct Shopper {
    pub service: CartGrpc,
    pub catalog: FakeCatalog,
    pub catalog_url: String,
    pub pool: PgPool,
    pub owner_id: String,
    pub cart_id: String,
    pub replica: Replica,
}

impl Shopper {
    /// Starts the service on `pool`, and a cart.
    pub async fn new(pool: PgPool) -> Self {
        Self::in_region(pool, Region::East, None).await
    }

    /// Starts the service of `region` on `pool`, and a cart of `owner_id` or of somebody new.
    pub async fn in_region(pool: PgPool, region: Region, owner_id: Option<&str>) -> Self {
        let catalog = FakeCatalog { price: Arc::new(AtomicI64::new(250)), ..FakeCatalog::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = tonic::transport::Server::builder().add_service(CatalogServiceServer::new(catalog.clone()));
        tokio::spawn(served.serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener)));
        let replica = Replica::of(region);
        let service = service(&pool, &url, replica.clone());

        let owner_id = owner_id.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        let request = CreateCartRequest { owner_id: owner_id.clone(), idempotency_key: "cart".to_owned() };
        let cart = service.create_cart(Request::new(request)).await.unwrap().into_inner().cart.unwrap();
        Self { service, catalog, catalog_url: url, pool, owner_id, cart_id: cart.cart_id, replica }
    }

    /// The same shopper with another cart of theirs, created under `key`.
    pub async fn with_another_cart(&self, key: &str) -> Self {
        let request = CreateCartRequest { owner_id: self.owner_id.clone(), idempotency_key: key.to_owned() };
        let cart = self.service.create_cart(Request::new(request)).await.unwrap().into_inner().cart.unwrap();
        Self { cart_id: cart.cart_id, ..self.clone() }
    }

    /// Another process of the service, on the same database.
    pub fn another_process(&self) -> CartGrpc {
        self.process_of(self.replica.clone())
    }

    /// A process that shares nothing with the others but the database.
    pub fn process_of(&self, replica: Replica) -> CartGrpc {
        service(&self.pool, &self.catalog_url, replica)
    }

    pub fn add_request(&self, key: &str, offer_id: &str, quantity: i64) -> AddLineRequest {
        AddLineRequest {
            cart_id: self.cart_id.clone(),
            owner_id: self.owner_id.clone(),
            idempotency_key: key.to_owned(),
            offer_id: offer_id.to_owned(),
            quantity,
        }
    }

    pub async fn try_add(&self, request: AddLineRequest) -> Result<AddLineResponse, Status> {
        self.service.add_line(Request::new(request)).await.map(Response::into_inner)
    }

    pub async fn add(&self, key: &str, offer_id: &str, quantity: i64) -> AddLineResponse {
        self.try_add(self.add_request(key, offer_id, quantity)).await.unwrap()
    }

    pub async fn set(&self, key: &str, offer_id: &str, quantity: i64) -> Result<SetLineQuantityResponse, Status> {
        let AddLineRequest { cart_id, owner_id, idempotency_key, offer_id, quantity } =
            self.add_request(key, offer_id, quantity);
        let request = SetLineQuantityRequest { cart_id, owner_id, idempotency_key, offer_id, quantity };
        self.service.set_line_quantity(Request::new(request)).await.map(Response::into_inner)
    }

    pub async fn remove(&self, key: &str, offer_id: &str) -> Result<RemoveLineResponse, Status> {
        self.remove_in(key, offer_id, "").await
    }

    /// Removes the units in one currency.
    pub async fn remove_in(&self, key: &str, offer_id: &str, currency: &str) -> Result<RemoveLineResponse, Status> {
        let AddLineRequest { cart_id, owner_id, idempotency_key, offer_id, .. } = self.add_request(key, offer_id, 1);
        let currency_code = currency.to_owned();
        let request = RemoveLineRequest { cart_id, owner_id, idempotency_key, offer_id, currency_code };
        self.service.remove_line(Request::new(request)).await.map(Response::into_inner)
    }

    pub fn address_request(&self, key: &str, street: &str) -> SetDeliveryAddressRequest {
        SetDeliveryAddressRequest {
            cart_id: self.cart_id.clone(),
            owner_id: self.owner_id.clone(),
            idempotency_key: key.to_owned(),
            address: Some(address(street)),
        }
    }

    pub async fn try_deliver_to(&self, request: SetDeliveryAddressRequest) -> Result<String, Status> {
        Ok(self.service.set_delivery_address(Request::new(request)).await?.into_inner().version)
    }

    /// Sets an address in this street. Returns the version after it.
    pub async fn deliver_to(&self, key: &str, street: &str) -> String {
        self.try_deliver_to(self.address_request(key, street)).await.unwrap()
    }

    /// Takes the address back. Returns the version after it.
    pub async fn clear_address(&self, key: &str) -> Result<String, Status> {
        let SetDeliveryAddressRequest { cart_id, owner_id, idempotency_key, .. } = self.address_request(key, "");
        let request = ClearDeliveryAddressRequest { cart_id, owner_id, idempotency_key };
        Ok(self.service.clear_delivery_address(Request::new(request)).await?.into_inner().version)
    }

    pub async fn get(&self) -> Cart {
        let request = GetCartRequest { cart_id: self.cart_id.clone(), owner_id: self.owner_id.clone() };
        self.service.get_cart(Request::new(request)).await.unwrap().into_inner().cart.unwrap()
    }

    pub fn checkout_request(&self, key: &str, version: &str) -> BeginCheckoutRequest {
        BeginCheckoutRequest {
            cart_id: self.cart_id.clone(),
            owner_id: self.owner_id.clone(),
            idempotency_key: key.to_owned(),
            cart_version: version.to_owned(),
            order_id: Uuid::now_v7().to_string(),
            expected_total: None,
        }
    }

    pub async fn checkout(&self, key: &str, version: &str) -> Result<BeginCheckoutResponse, Status> {
        self.begin(self.checkout_request(key, version)).await
    }

    pub async fn begin(&self, request: BeginCheckoutRequest) -> Result<BeginCheckoutResponse, Status> {
        self.service.begin_checkout(Request::new(request)).await.map(Response::into_inner)
    }

    pub async fn abandon(&self, order_id: &str) {
        let request = AbandonCheckoutRequest { cart_id: self.cart_id.clone(), order_id: order_id.to_owned() };
        self.service.abandon_checkout(Request::new(request)).await.unwrap();
    }

    /// What the consumer of order.placed.v1 does.
    pub async fn consume(&self, order_id: &str) -> cart::store::Settled {
        let mut transaction = self.pool.begin().await.unwrap();
        let settled = cart::store::consume(&mut transaction, order_id.parse().unwrap(), self.replica.id());
        let settled = settled.await.unwrap();
        transaction.commit().await.unwrap();
        self.replica.log_grew();
        settled
    }
}

/// The visible lines as (offer, units).
pub fn units(cart: &Cart) -> Vec<(&str, i64)> {
    cart.lines.iter().map(|line| (line.offer_id.as_str(), line.quantity)).collect()
}

pub fn address(street: &str) -> DeliveryAddress {
    let [recipient, street, city, postal_code, country] =
        ["Ada", street, "London", "SW1Y", "England"].map(str::to_owned);
    DeliveryAddress { recipient, street, city, postal_code, country }
}

/// The streets of the delivery addresses.
pub fn streets(cart: &Cart) -> Vec<&str> {
    cart.delivery_addresses.iter().map(|address| address.street.as_str()).collect()
}

pub fn reason(status: &Status) -> String {
    chassis::status::reason(status).unwrap_or_default()
}
