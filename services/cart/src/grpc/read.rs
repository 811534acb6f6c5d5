//! Creating and reading carts.

use std::sync::Arc;

use chassis::status::Fields;
use contracts::cart::v1::{CreateCartRequest, CreateCartResponse, GetCartRequest, GetCartResponse};
use ids::{CartId, CustomerId};
use tonic::Status;

use super::{CartGrpc, error, wire};
use crate::cache::{CartReader, Visible};
use crate::domain::CartState;
use crate::store;

impl CartGrpc {
    /// A repeat answers like the first time: with the empty cart that was created.
    pub(super) async fn create(&self, request: CreateCartRequest) -> Result<CreateCartResponse, Status> {
        let mut fields = Fields::default();
        let owner_id = fields.parse("owner_id", &request.owner_id);
        let key = fields.name("idempotency_key", &request.idempotency_key);
        let (Some(owner_id), Some(key)) = (owner_id, key) else { return Err(fields.refusal()) };
        let cart_id = CartId::of_creation(owner_id, &key);
        if store::create(&self.pool, cart_id, owner_id, &key).await? {
            self.replica.log_grew();
            self.recent.created(cart_id, owner_id).await;
        }
        Ok(CreateCartResponse { cart: Some(wire::cart(cart_id, &CartState::default(), &[])) })
    }

    pub(super) async fn get(&self, request: GetCartRequest) -> Result<GetCartResponse, Status> {
        let mut fields = Fields::default();
        let cart_id = fields.parse("cart_id", &request.cart_id);
        let owner_id = fields.parse("owner_id", &request.owner_id);
        let (Some(cart_id), Some(owner_id)) = (cart_id, owner_id) else { return Err(fields.refusal()) };
        let visible = shown(&self.reader, cart_id, owner_id).await?;
        Ok(GetCartResponse { cart: Some(visible.cart.clone()) })
    }
}

/// The visible cart, if it is there and `owner_id`'s. Whose it is is looked at here, after the cache, so that no cache key and no shared
/// load can hand one session's cart to another.
pub(super) async fn shown(reader: &CartReader, cart_id: CartId, owner_id: CustomerId) -> Result<Arc<Visible>, Status> {
    let visible = reader.read(cart_id).await.map_err(|error| Status::from(&*error))?;
    visible.filter(|visible| visible.owner_id == owner_id).ok_or_else(|| error::cart_not_found(cart_id))
}
