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
use crate::domain::{
    CHECKOUTS_OPEN_MAX, Compared, Rejection, Version, ViewLine, currencies_of, fits_an_order, total, view,
};
use crate::store::{self, CartRow, Checkout, Stored, Write};

impl CartGrpc {
    pub(super) async fn begin(&self, request: BeginCheckoutRequest) -> Result<BeginCheckoutResponse, Status> {
        let mut fields = Fields::default();
        let cart_id: Option<CartId> = fields.parse("cart_id", &request.cart_id);
        let owner_id: Option<CustomerId> = fields.parse("owner_id", &request.owner_id);
        let key: Option<IdempotencyKey> = fields.name("idempotency_key", &request.idempotency_key);
        let version: Option<Version> = fields.parse("cart_version", &request.cart_version);
        let order_id: Option<OrderId> = fields.parse("order_id", &request.order_id);
        let expected_total =
            request.expected_total.as_ref().map(|total| fields.check("expected_total", wire::money(total)));
        let (Some(cart_id), Some(owner_id), Some(key), Some(version), Some(order_id), None | Some(Some(_))) =
            (cart_id, owner_id, key, version, order_id, expected_total)
        else {
            return Err(fields.refusal());
        };
        let expected_total = expected_total.flatten();

        self.editable()?;
        let operation_key = format!("checkout:{key}");
        // With its total, that a repeat which names another one is not answered with what the first one cut. Without one it is the digest
        // of before there were totals.
        let named = expected_total.map(|total| format!("{} {}", total.minor_units(), total.currency()));
        let words = ["checkout", &request.cart_version].into_iter().chain(named.as_deref());
        let request_digest = digest(&words.collect::<Vec<_>>());
        for race in 0..error::RACES_MAX {
            let row = self.cart_to_order(cart_id, owner_id, &version).await?;
            let current = check_version(&version, row.state.context());
            // A repeat finds the version moved on by its own first try, or loses the race for its key against it.
            if current.is_err() || race > 0 {
                match store::stored(&self.pool, cart_id, &operation_key).await? {
                    Some(first) if first.request_digest == request_digest => return wire::stored_reply(&first.outcome),
                    Some(_) => return Err(error::key_reused()),
                    None => current?,
                }
            }
            let (checkout, lines) = cut(&row, order_id, self.replica.id())?;
            if expected_total.is_some_and(|expected| total(&lines) != Some(expected)) {
                return Err(error::total_changed());
            }
            let reply =
                BeginCheckoutResponse { order_id: order_id.to_string(), lines: lines.iter().map(wire::line).collect() };
            let stored = Stored { request_digest: request_digest.clone(), outcome: reply.encode_to_vec() };
            if store::begin(&self.pool, cart_id, &row, &checkout, &operation_key, &stored).await? == Write::Done {
                self.replica.log_grew();
                self.reader.changed(cart_id).await;
                return Ok(reply);
            }
        }
        Err(error::cart_contended())
    }

    /// The cart to cut from. One that is not here, of which the shopper has seen something, was made in the other region and is on its way;
    /// one that belongs to somebody else is not found, as everywhere.
    async fn cart_to_order(
        &self,
        cart_id: CartId,
        owner_id: CustomerId,
        version: &Version,
    ) -> Result<store::CartRow, Status> {
        match store::load(&self.pool, cart_id).await? {
            Some(row) if row.owner_id == owner_id => Ok(row),
            None if version.0 != CausalContext::new() => Err(error::version_ahead()),
            Some(_) | None => Err(error::cart_not_found(cart_id)),
        }
    }

    pub(super) async fn abandon(&self, request: AbandonCheckoutRequest) -> Result<AbandonCheckoutResponse, Status> {
        let mut fields = Fields::default();
        let cart_id = fields.parse("cart_id", &request.cart_id);
        let order_id = fields.parse("order_id", &request.order_id);
        let (Some(cart_id), Some(order_id)) = (cart_id, order_id) else { return Err(fields.refusal()) };
        for _ in 0..error::RACES_MAX {
            if store::abandon(&self.pool, cart_id, order_id, self.replica.id()).await? == Write::Done {
                self.replica.log_grew();
                self.reader.changed(cart_id).await;
                return Ok(AbandonCheckoutResponse {});
            }
        }
        Err(error::cart_contended())
    }
}

fn check_version(clients: &Version, carts: &CausalContext) -> Result<(), Status> {
    match clients.compared_to(carts) {
        Compared::Current => Ok(()),
        Compared::Stale => Err(error::version_stale()),
        Compared::Ahead => Err(error::version_ahead()),
    }
}

fn cut(row: &CartRow, order_id: OrderId, replica: crdt::ReplicaId) -> Result<(Checkout, Vec<ViewLine>), Status> {
    let seen = view(&row.state, &row.undecided_cuts);
    let lines = ViewLine::of(&seen);
    if lines.is_empty() {
        return Err(error::cart_empty());
    }
    let currencies = currencies_of(&lines);
    if currencies.len() > 1 {
        return Err(error::mixed_currencies(&currencies));
    }
    fits_an_order(&lines).map_err(error::too_large)?;
    if row.undecided_cuts.len() >= CHECKOUTS_OPEN_MAX {
        return Err(error::too_many_checkouts());
    }
    let (operation, cut) = seen.cut(replica).map_err(|error| chassis::status::internal(&error))?;
    let cuts = || row.undecided_cuts.iter().chain([&cut]);
    for (item, line) in row.state.lines().filter(|(item, _)| cut.lines.contains_key(item)) {
        let held = cuts().filter_map(|cut| cut.lines.get(item));
        crdt::has_room(line, held, replica).map_err(|_| Rejection::LineInPieces)?;
    }
    let ordered = lines.iter().map(|line| (line.offer_id.clone(), line.quantity())).collect();
    Ok((Checkout { order_id, operation, cut, lines: ordered }, lines))
}
