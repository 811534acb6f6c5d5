//! The edge: requests are checked, decided and stored; domain types become wire types.

mod checkout;
mod digest;
mod edit;
mod error;
mod read;
mod wire;

use contracts::cart::v1::cart_service_server::CartService;
use contracts::cart::v1::*;
use crdt::ReplicaId;
use ids::Region;
use sqlx::pool::PoolConnection;
use sqlx::{PgPool, Postgres};
use tonic::{Request, Response, Status};

use crate::catalog::Catalog;
use crate::recent::RecentCarts;

/// `cart.v1.CartService`.
#[derive(Clone)]
pub struct CartGrpc {
    pool: PgPool,
    catalog: Catalog,
    replica: ReplicaId,
    recent: RecentCarts,
}

impl CartGrpc {
    /// The service of `region`.
    pub fn new(pool: PgPool, catalog: Catalog, region: Region) -> Self {
        Self { pool, catalog, replica: ReplicaId(region.replica()), recent: RecentCarts::default() }
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
