//! Creating and reading carts.

use chassis::status::Fields;
use contracts::cart::v1::{CreateCartRequest, CreateCartResponse, GetCartRequest, GetCartResponse};
use ids::{CartId, CustomerId};
use tonic::Status;

use super::{CartGrpc, error, wire};
use crate::domain::{CartState, view};
use crate::store::{self, CartRow};

impl CartGrpc {
    /// A repeat answers like the first time: with the empty cart that was created.
    pub(super) async fn create(&self, request: CreateCartRequest) -> Result<CreateCartResponse, Status> {
        let mut fields = Fields::default();
        let owner_id = fields.parse("owner_id", &request.owner_id);
        let key = fields.parse("idempotency_key", &request.idempotency_key);
        let (Some(owner_id), Some(key)) = (owner_id, key) else { return Err(fields.refusal()) };
        let fresh = CartId::generate();
        let cart_id = store::create(&self.pool, fresh, owner_id, &key).await?;
        if cart_id == fresh {
            self.recent.created(cart_id, owner_id).await;
        }
        Ok(CreateCartResponse { cart: Some(wire::cart(cart_id, &CartState::default())) })
    }

    pub(super) async fn get(&self, request: GetCartRequest) -> Result<GetCartResponse, Status> {
        let mut fields = Fields::default();
        let cart_id = fields.parse("cart_id", &request.cart_id);
        let owner_id = fields.parse("owner_id", &request.owner_id);
        let (Some(cart_id), Some(owner_id)) = (cart_id, owner_id) else { return Err(fields.refusal()) };
        let row = self.owned_cart(cart_id, owner_id).await?;
        Ok(GetCartResponse { cart: Some(wire::cart(cart_id, &view(&row.state, &row.undecided_cuts))) })
    }

    /// The cart, if it is there and `owner_id`'s.
    pub(super) async fn owned_cart(&self, cart_id: CartId, owner_id: CustomerId) -> Result<CartRow, Status> {
        let row = store::load(&self.pool, cart_id).await?;
        row.filter(|row| row.owner_id == owner_id).ok_or_else(|| error::cart_not_found(cart_id))
    }
}
