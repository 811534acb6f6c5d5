//! Messages as Protobuf, and back. What comes from the wire is checked here, apart from what only the CRDT can judge.

use contracts::cart::v1 as pb;
use ids::{CartId, CustomerId, IdempotencyKey, OfferId, OrderId};
use pb::replicate_request::Message as Request;
use pb::replicate_response::Message as Response;
use replication::{Digest, Listing, Position, ReplicaId, ToReceiver, ToShipper};

use super::Payload;
use crate::domain::OrderedTwice;
use crate::store::replica::{CartReplica, CheckoutReplica, CheckoutState, Creation, Operation};

/// A message that breaks the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed replication message: {0}")]
pub(super) struct Malformed(&'static str);

fn required<T>(field: Option<T>, name: &'static str) -> Result<T, Malformed> {
    field.ok_or(Malformed(name))
}

fn parsed<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, Malformed> {
    text.parse().map_err(|_| Malformed(name))
}

pub(super) fn request(message: ToReceiver<CartId, Payload>) -> pb::ReplicateRequest {
    let message = match message {
        ToReceiver::Hello { version, log } => Request::Hello(pb::Hello { version, log: number(log) }),
        ToReceiver::Batch { log, after, through, entries } => Request::Batch(pb::Batch {
            log: number(log),
            after: Some(position(after)),
            through: Some(position(through)),
            operations: entries.into_iter().filter_map(operation).collect(),
        }),
        ToReceiver::Compare { request, after, last, count, digest } => Request::Compare(pb::Compare {
            request,
            after: after.map(|id| id.to_string()).unwrap_or_default(),
            last: last.to_string(),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            digest: digest.0.to_vec(),
        }),
        ToReceiver::Repair { request, states } => {
            Request::Repair(pb::Repair { request, carts: states.into_iter().filter_map(replica).collect() })
        }
    };
    pb::ReplicateRequest { message: Some(message) }
}

pub(super) fn to_receiver(message: pb::ReplicateRequest) -> Result<ToReceiver<CartId, Payload>, Malformed> {
    Ok(match required(message.message, "no message")? {
        Request::Hello(hello) => ToReceiver::Hello { version: hello.version, log: replica_id(hello.log)? },
        Request::Batch(batch) => ToReceiver::Batch {
            log: replica_id(batch.log)?,
            after: position_of(batch.after)?,
            through: position_of(batch.through)?,
            entries: well_formed(batch.operations, |operation| &operation.cart_id, operation_of),
        },
        Request::Compare(compare) => ToReceiver::Compare {
            request: compare.request,
            after: if compare.after.is_empty() { None } else { Some(parsed(&compare.after, "after")?) },
            last: parsed(&compare.last, "last")?,
            count: usize::try_from(compare.count).map_err(|_| Malformed("count"))?,
            digest: digest(&compare.digest)?,
        },
        Request::Repair(repair) => ToReceiver::Repair {
            request: repair.request,
            states: well_formed(repair.carts, |cart| &cart.cart_id, replica_of),
        },
    })
}

pub(super) fn response(message: ToShipper<CartId>) -> pb::ReplicateResponse {
    let message = match message {
        ToShipper::Welcome { receiver, log, through } => Response::Welcome(pb::Welcome {
            receiver: number(receiver),
            log: number(log),
            through: Some(position(through)),
        }),
        ToShipper::Ack { receiver, log, through, gap } => Response::Ack(pb::Ack {
            receiver: number(receiver),
            log: number(log),
            through: Some(position(through)),
            gap,
        }),
        ToShipper::Compared { request, difference } => {
            let listing = |Listing { carts, through }: Listing<CartId>| pb::CartListing {
                carts: carts
                    .into_iter()
                    .map(|(id, digest)| pb::CartDigest { cart_id: id.to_string(), digest: digest.0.to_vec() })
                    .collect(),
                through: through.to_string(),
            };
            Response::Compared(pb::Compared { request, difference: difference.map(listing) })
        }
        ToShipper::Repaired { request } => Response::Repaired(pb::Repaired { request }),
    };
    pb::ReplicateResponse { message: Some(message) }
}

pub(super) fn to_shipper(message: pb::ReplicateResponse) -> Result<ToShipper<CartId>, Malformed> {
    Ok(match required(message.message, "no message")? {
        Response::Welcome(welcome) => ToShipper::Welcome {
            receiver: replica_id(welcome.receiver)?,
            log: replica_id(welcome.log)?,
            through: position_of(welcome.through)?,
        },
        Response::Ack(ack) => ToShipper::Ack {
            receiver: replica_id(ack.receiver)?,
            log: replica_id(ack.log)?,
            through: position_of(ack.through)?,
            gap: ack.gap,
        },
        Response::Compared(compared) => ToShipper::Compared {
            request: compared.request,
            difference: compared.difference.map(listing_of).transpose()?,
        },
        Response::Repaired(repaired) => ToShipper::Repaired { request: repaired.request },
    })
}

fn listing_of(listing: pb::CartListing) -> Result<Listing<CartId>, Malformed> {
    let cart = |cart: pb::CartDigest| Ok((parsed(&cart.cart_id, "cart_id")?, digest(&cart.digest)?));
    Ok(Listing {
        carts: listing.carts.into_iter().map(cart).collect::<Result<_, _>>()?,
        through: parsed(&listing.through, "through")?,
    })
}

/// A batch holds operations only; that a repair's payload got here is a bug, and what it carries is repaired again later.
fn operation((cart_id, payload): (CartId, Payload)) -> Option<pb::CartOperation> {
    let Payload::Operation(operation) = payload else { return None };
    Some(pb::CartOperation {
        cart_id: cart_id.to_string(),
        operation_key: operation.key,
        request_digest: operation.request_digest,
        outcome: operation.outcome,
        delta: operation.delta,
        creation: operation.creation.map(creation),
        checkout: operation.checkout.map(checkout),
    })
}

/// Those of `parts` that keep the contract. One that does not is one cart's, and the others do not wait for it: they would wait for ever,
/// since it is sent again in every stream.
fn well_formed<P, T>(parts: Vec<P>, cart_id: fn(&P) -> &String, read: fn(P) -> Result<T, Malformed>) -> Vec<T> {
    let part = |part: P| {
        let cart_id = cart_id(&part).chars().take(CART_ID_LENGTH).collect::<String>();
        match read(part) {
            Ok(read) => Some(read),
            Err(malformed) => {
                tracing::error!(?cart_id, %malformed, "refused what the other region sent for a cart");
                metrics::counter!("cart_replication_refused_total").increment(1);
                None
            }
        }
    };
    parts.into_iter().filter_map(part).collect()
}

/// A UUID's; a longer text is not logged whole.
const CART_ID_LENGTH: usize = 36;

fn operation_of(operation: pb::CartOperation) -> Result<(CartId, Payload), Malformed> {
    let cart_id = parsed(&operation.cart_id, "cart_id")?;
    let operation = Operation {
        key: operation.operation_key,
        request_digest: operation.request_digest,
        outcome: operation.outcome,
        delta: operation.delta,
        creation: operation.creation.map(creation_of).transpose()?,
        checkout: operation.checkout.map(checkout_of).transpose()?,
    };
    Ok((cart_id, Payload::Operation(operation)))
}

fn replica((cart_id, payload): (CartId, Payload)) -> Option<pb::CartReplica> {
    let Payload::Replica(replica) = payload else { return None };
    Some(pb::CartReplica {
        cart_id: cart_id.to_string(),
        creation: Some(creation(replica.creation)),
        state: replica.state,
        checkouts: replica.checkouts.into_iter().map(checkout).collect(),
        ordered_twice: replica.ordered_twice.iter().map(crate::grpc::wire::twice).collect(),
    })
}

fn replica_of(replica: pb::CartReplica) -> Result<(CartId, Payload), Malformed> {
    let cart_id = parsed(&replica.cart_id, "cart_id")?;
    let replica = CartReplica {
        creation: creation_of(required(replica.creation, "creation")?)?,
        state: replica.state,
        checkouts: replica.checkouts.into_iter().map(checkout_of).collect::<Result<_, _>>()?,
        ordered_twice: replica.ordered_twice.into_iter().map(twice_of).collect::<Result<_, _>>()?,
    };
    Ok((cart_id, Payload::Replica(replica)))
}

fn twice_of(twice: pb::OrderedTwice) -> Result<OrderedTwice, Malformed> {
    let [first, second] = twice.order_ids.as_slice() else { return Err(Malformed("order_ids")) };
    let order_ids: [OrderId; 2] = [parsed(first, "order_ids")?, parsed(second, "order_ids")?];
    let quantity = u64::try_from(twice.quantity).ok().filter(|units| *units > 0).ok_or(Malformed("quantity"))?;
    if order_ids[0] >= order_ids[1] {
        return Err(Malformed("order_ids"));
    }
    Ok(OrderedTwice { offer_id: parsed(&twice.offer_id, "offer_id")?, quantity, order_ids })
}

fn creation(creation: Creation) -> pb::CartCreation {
    pb::CartCreation { owner_id: creation.owner_id.to_string(), idempotency_key: creation.idempotency_key.to_string() }
}

fn creation_of(creation: pb::CartCreation) -> Result<Creation, Malformed> {
    let owner_id: CustomerId = parsed(&creation.owner_id, "owner_id")?;
    let idempotency_key: IdempotencyKey = parsed(&creation.idempotency_key, "idempotency_key")?;
    Ok(Creation { owner_id, idempotency_key })
}

fn checkout(checkout: CheckoutReplica) -> pb::CartCheckout {
    let state = match checkout.state {
        CheckoutState::Undecided => pb::CheckoutState::Undecided,
        CheckoutState::Abandoned => pb::CheckoutState::Abandoned,
        CheckoutState::Ordered => pb::CheckoutState::Ordered,
    };
    let line = |(offer_id, units): (OfferId, u64)| pb::CheckoutLine {
        offer_id: offer_id.to_string(),
        quantity: i64::try_from(units).unwrap_or(i64::MAX),
    };
    pb::CartCheckout {
        order_id: checkout.order_id.to_string(),
        cut: checkout.cut,
        state: state.into(),
        replica: checkout.origin.0.into(),
        operation: checkout.operation,
        seen: checkout.seen,
        lines: checkout.lines.into_iter().map(line).collect(),
    }
}

fn checkout_of(checkout: pb::CartCheckout) -> Result<CheckoutReplica, Malformed> {
    let state = match checkout.state() {
        pb::CheckoutState::Undecided => CheckoutState::Undecided,
        pb::CheckoutState::Abandoned => CheckoutState::Abandoned,
        pb::CheckoutState::Ordered => CheckoutState::Ordered,
        pb::CheckoutState::Unspecified => return Err(Malformed("state")),
    };
    let order_id: OrderId = parsed(&checkout.order_id, "order_id")?;
    if i64::try_from(checkout.operation).is_err() {
        return Err(Malformed("operation"));
    }
    let line = |line: pb::CheckoutLine| {
        let units = u64::try_from(line.quantity).map_err(|_| Malformed("quantity"))?;
        Ok((parsed(&line.offer_id, "offer_id")?, units))
    };
    Ok(CheckoutReplica {
        order_id,
        cut: checkout.cut,
        state,
        origin: crdt::ReplicaId(replica_id(checkout.replica)?.0),
        operation: checkout.operation,
        seen: checkout.seen,
        lines: checkout.lines.into_iter().map(line).collect::<Result<_, _>>()?,
    })
}

fn number(replica: ReplicaId) -> u32 {
    replica.0.into()
}

pub(super) fn replica_id(number: u32) -> Result<ReplicaId, Malformed> {
    u8::try_from(number).map(ReplicaId).map_err(|_| Malformed("replica number"))
}

pub(super) fn position(position: Position) -> pb::LogPosition {
    pb::LogPosition { transaction: position.transaction, sequence: position.sequence }
}

/// A store's numbers are signed.
pub(super) fn position_of(position: Option<pb::LogPosition>) -> Result<Position, Malformed> {
    let position = required(position, "position")?;
    if i64::try_from(position.transaction).is_err() || i64::try_from(position.sequence).is_err() {
        return Err(Malformed("position"));
    }
    Ok(Position { transaction: position.transaction, sequence: position.sequence })
}

fn digest(bytes: &[u8]) -> Result<Digest, Malformed> {
    bytes.try_into().map(Digest).map_err(|_| Malformed("digest"))
}
