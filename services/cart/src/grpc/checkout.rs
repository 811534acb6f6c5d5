//! Beginning and abandoning checkouts.

use chassis::status::Fields;
use contracts::cart::v1::{
    AbandonCheckoutRequest, AbandonCheckoutResponse, BeginCheckoutRequest, BeginCheckoutResponse,
};
use crdt::CausalContext;
use ids::{CartId, CustomerId, IdempotencyKey, OrderId};
use prost::Message as _;
use tonic::Status;

use super::digest::digest;
use super::{CartGrpc, error, wire};
use crate::domain::{CartState, Version, ViewLine, view};
use crate::store::{self, Checkout, Stored, Write};

impl CartGrpc {
    pub(super) async fn begin(&self, request: BeginCheckoutRequest) -> Result<BeginCheckoutResponse, Status> {
        let mut fields = Fields::default();
        let cart_id: Option<CartId> = fields.parse("cart_id", &request.cart_id);
        let owner_id: Option<CustomerId> = fields.parse("owner_id", &request.owner_id);
        let key: Option<IdempotencyKey> = fields.name("idempotency_key", &request.idempotency_key);
        let version: Option<Version> = fields.parse("cart_version", &request.cart_version);
        let order_id: Option<OrderId> = fields.parse("order_id", &request.order_id);
        let (Some(cart_id), Some(owner_id), Some(key), Some(version), Some(order_id)) =
            (cart_id, owner_id, key, version, order_id)
        else {
            return Err(fields.refusal());
        };

        self.editable()?;
        let operation_key = format!("checkout:{key}");
        let request_digest = digest(&["checkout", &request.cart_version]);
        for race in 0..error::RACES_MAX {
            let row = self.owned_cart(cart_id, owner_id).await?;
            let current = check_version(&version.0, row.state.context());
            // A repeat finds the version moved on by its own first try, or loses the race for its key against it.
            if current.is_err() || race > 0 {
                match store::stored(&self.pool, cart_id, &operation_key).await? {
                    Some(first) if first.request_digest == request_digest => return wire::stored_reply(&first.outcome),
                    Some(_) => return Err(error::key_reused()),
                    None => current?,
                }
            }
            let (checkout, lines) = cut(&view(&row.state, &row.undecided_cuts), order_id, self.replica.id())?;
            let reply = BeginCheckoutResponse {
                order_id: order_id.to_string(),
                lines: lines.iter().map(wire::view_line).collect(),
            };
            let stored = Stored { request_digest: request_digest.clone(), outcome: reply.encode_to_vec() };
            if store::begin(&self.pool, cart_id, &row, &checkout, &operation_key, &stored).await? == Write::Done {
                self.replica.log_grew();
                self.reader.changed(cart_id).await;
                return Ok(reply);
            }
        }
        Err(error::cart_contended())
    }

    pub(super) async fn abandon(&self, request: AbandonCheckoutRequest) -> Result<AbandonCheckoutResponse, Status> {
        let mut fields = Fields::default();
        let cart_id = fields.parse("cart_id", &request.cart_id);
        let order_id = fields.parse("order_id", &request.order_id);
        let (Some(cart_id), Some(order_id)) = (cart_id, order_id) else { return Err(fields.refusal()) };
        store::abandon(&self.pool, cart_id, order_id).await?;
        self.replica.log_grew();
        self.reader.changed(cart_id).await;
        Ok(AbandonCheckoutResponse {})
    }
}

/// The client's version must be this cart's: what is ordered is what was seen, no more and no less.
fn check_version(clients: &CausalContext, carts: &CausalContext) -> Result<(), Status> {
    if clients == carts {
        Ok(())
    } else if carts.covers(clients) {
        Err(error::version_stale())
    } else {
        Err(error::version_ahead())
    }
}

fn cut(seen: &CartState, order_id: OrderId, replica: crdt::ReplicaId) -> Result<(Checkout, Vec<ViewLine>), Status> {
    let lines = ViewLine::of(seen);
    if lines.is_empty() {
        return Err(error::cart_empty());
    }
    let (operation, cut) = seen.cut(replica).map_err(|error| chassis::status::internal(&error))?;
    let ordered = lines.iter().map(|line| (line.offer_id.clone(), line.quantity)).collect();
    Ok((Checkout { order_id, operation, cut, lines: ordered }, lines))
}
