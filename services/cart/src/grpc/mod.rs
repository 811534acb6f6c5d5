//! The edge: requests are checked, decided and stored; domain types become wire types.

mod address;
mod checkout;
mod digest;
mod edit;
mod error;
mod read;
mod watch;
pub(crate) mod wire;

use contracts::cart::v1::cart_service_server::CartService;
use contracts::cart::v1::*;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::cache::CartReader;
use crate::catalog::Catalog;
use crate::changes::Watchers;
use crate::recent::RecentCarts;
use crate::replication::Replica;

/// `cart.v1.CartService`.
#[derive(Clone)]
pub struct CartGrpc {
    pool: PgPool,
    catalog: Catalog,
    replica: Replica,
    recent: RecentCarts,
    reader: CartReader,
    watchers: Watchers,
    /// Streams end when it is cancelled.
    draining: CancellationToken,
}

impl CartGrpc {
    /// The service of `replica`.
    pub fn new(pool: PgPool, catalog: Catalog, replica: Replica) -> Self {
        let reader = CartReader::new(pool.clone(), None);
        let (recent, watchers, draining) = Default::default();
        Self { pool, catalog, replica, recent, reader, watchers, draining }
    }

    /// Reads through `reader`, and lets carts be watched through `watchers` until `draining` is cancelled.
    #[must_use]
    pub fn with_reads(self, reader: CartReader, watchers: Watchers, draining: CancellationToken) -> Self {
        Self { reader, watchers, draining, ..self }
    }

    /// Refuses edits of a database that went back in time.
    fn editable(&self) -> Result<(), Status> {
        if self.replica.is_rewound() { Err(error::rewound()) } else { Ok(()) }
    }

    async fn connection(&self) -> Result<PoolConnection<Postgres>, Status> {
        self.pool.acquire().await.map_err(|error| chassis::status::from_database(&error))
    }
}

#[tonic::async_trait]
impl CartService for CartGrpc {
    async fn create_cart(&self, request: Request<CreateCartRequest>) -> Result<Response<CreateCartResponse>, Status> {
        self.create(request.into_inner()).await.map(Response::new)
    }

    async fn get_cart(&self, request: Request<GetCartRequest>) -> Result<Response<GetCartResponse>, Status> {
        self.get(request.into_inner()).await.map(Response::new)
    }

    type WatchCartStream = watch::CartStream;

    async fn watch_cart(&self, request: Request<WatchCartRequest>) -> Result<Response<Self::WatchCartStream>, Status> {
        self.watch(request.into_inner()).await.map(Response::new)
    }

    async fn add_line(&self, request: Request<AddLineRequest>) -> Result<Response<AddLineResponse>, Status> {
        self.add(request.into_inner()).await.map(Response::new)
    }

    async fn set_line_quantity(
        &self,
        request: Request<SetLineQuantityRequest>,
    ) -> Result<Response<SetLineQuantityResponse>, Status> {
        self.set(request.into_inner()).await.map(Response::new)
    }

    async fn remove_line(&self, request: Request<RemoveLineRequest>) -> Result<Response<RemoveLineResponse>, Status> {
        self.remove(request.into_inner()).await.map(Response::new)
    }

    async fn set_delivery_address(
        &self,
        request: Request<SetDeliveryAddressRequest>,
    ) -> Result<Response<SetDeliveryAddressResponse>, Status> {
        self.set_address(request.into_inner()).await.map(Response::new)
    }

    async fn clear_delivery_address(
        &self,
        request: Request<ClearDeliveryAddressRequest>,
    ) -> Result<Response<ClearDeliveryAddressResponse>, Status> {
        self.clear_address(request.into_inner()).await.map(Response::new)
    }

    async fn begin_checkout(
        &self,
        request: Request<BeginCheckoutRequest>,
    ) -> Result<Response<BeginCheckoutResponse>, Status> {
        self.begin(request.into_inner()).await.map(Response::new)
    }

    async fn abandon_checkout(
        &self,
        request: Request<AbandonCheckoutRequest>,
    ) -> Result<Response<AbandonCheckoutResponse>, Status> {
        self.abandon(request.into_inner()).await.map(Response::new)
    }
}
