//! Joining operations of the other region: one transaction for a batch, a fixed number of statements however many carts it names.

use std::collections::{BTreeMap, BTreeSet};

use crdt::ReplicaId;
use crdt::codec::{DecodeError, decode_delta, encode_delta};
use ids::CartId;
use replication::Position;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::lines::{self, LockedCarts};
use super::{CheckoutReplica, CheckoutState, Creation, Operation, StoreError, log, signed};
use crate::domain::{CartDelta, Item, Joining};
use crate::store::twice;

/// What became of a batch.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The other log is joined through here.
    pub through: Position,
    /// Operations whose delta was refused, with the reason. Anti-entropy brings what was good in them.
    pub refused: Vec<(CartId, String)>,
    /// This region's log has grown too: entries of ours were spent by theirs, and dropped.
    pub log_grew: bool,
}

/// Joins `operations` of the log of `from` at `replica`, and notes that log as joined through `through`, in the caller's transaction.
///
/// # Errors
/// [`StoreError`]; roll back.
pub async fn join_operations(
    connection: &mut PgConnection,
    replica: ReplicaId,
    from: ReplicaId,
    through: Position,
    operations: &[(CartId, Operation)],
) -> Result<Joined, StoreError> {
    let creations: Vec<(CartId, &Creation)> =
        operations.iter().filter_map(|(id, operation)| Some((*id, operation.creation.as_ref()?))).collect();
    create(connection, &creations).await?;
    let ids: BTreeSet<Uuid> = operations.iter().map(|(id, _)| id.as_uuid()).collect();
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let mut carts = lines::lock(connection, &ids).await?;

    let mut refused = Vec::new();
    let mut readable = Vec::new();
    for (cart_id, operation) in operations {
        match Readable::of(operation) {
            Ok(read) => readable.push((*cart_id, read)),
            Err(error) => refused.push((*cart_id, error.to_string())),
        }
    }
    let named: BTreeSet<(CartId, Item)> =
        readable.iter().flat_map(|(id, read)| read.items().map(|item| (*id, item.clone()))).collect();
    lines::read_named(connection, &mut carts, &named).await?;

    let mut retired = Vec::new();
    let mut checkouts = Vec::new();
    for (cart_id, read) in &readable {
        match join_one(&mut carts, *cart_id, read.delta.as_ref(), replica) {
            Ok(dropped) => {
                retired.extend(dropped.map(|delta| (*cart_id, delta)));
                // A checkout hides lines, or no longer does, exactly when the version says so: with its delta or not at all.
                checkouts.extend(read.checkout.map(|checkout| (*cart_id, checkout)));
            }
            Err(reason) => refused.push((*cart_id, reason)),
        }
    }
    lines::write(connection, &carts).await?;
    remember(connection, from, operations).await?;
    write_checkouts(connection, replica, &checkouts).await?;
    twice::record(connection, replica, &with_placed_orders(&checkouts)).await?;
    append_retired(connection, &retired).await?;
    let through = log::grown_to(connection, replication::ReplicaId(from.0), through).await?;
    Ok(Joined { through, refused, log_grew: !retired.is_empty() })
}

/// An operation whose values can be read.
struct Readable<'a> {
    delta: Option<CartDelta>,
    checkout: Option<&'a CheckoutReplica>,
}

impl<'a> Readable<'a> {
    fn of(operation: &'a Operation) -> Result<Self, DecodeError> {
        let checkout = operation.checkout.as_ref();
        checkout.map_or(Ok(()), CheckoutReplica::check)?;
        let delta = (!operation.delta.is_empty()).then(|| decode_delta(&operation.delta)).transpose()?;
        Ok(Self { delta, checkout })
    }

    fn items(&self) -> impl Iterator<Item = &Item> {
        self.delta.iter().flat_map(|delta| delta.lines.keys())
    }
}

/// The carts of these checkouts whose orders are placed.
pub(super) fn with_placed_orders(checkouts: &[(CartId, &CheckoutReplica)]) -> Vec<Uuid> {
    let placed = checkouts.iter().filter(|(_, checkout)| checkout.state == CheckoutState::Ordered);
    let carts: BTreeSet<Uuid> = placed.map(|(cart_id, _)| cart_id.as_uuid()).collect();
    carts.into_iter().collect()
}

fn join_one(
    carts: &mut LockedCarts,
    cart_id: CartId,
    delta: Option<&CartDelta>,
    replica: ReplicaId,
) -> Result<Option<CartDelta>, String> {
    if let Some(reason) = carts.unreadable.get(&cart_id) {
        return Err(reason.clone());
    }
    let cart = carts.carts.get_mut(&cart_id).ok_or("cart is not known here")?;
    let Some(delta) = delta else { return Ok(None) };
    let mut joining = Joining {
        context: &mut cart.context,
        address: &mut cart.address,
        line_count: &mut cart.line_count,
        lines: &mut cart.lines,
    };
    joining.join(delta, replica).map_err(|refused| refused.to_string())
}

/// Creates the carts that are not there yet.
pub(super) async fn create(connection: &mut PgConnection, creations: &[(CartId, &Creation)]) -> Result<(), StoreError> {
    let (mut ids, mut owners, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for (cart_id, creation) in creations {
        ids.push(cart_id.as_uuid());
        owners.push(creation.owner_id.as_uuid());
        keys.push(creation.idempotency_key.to_string());
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into cart (cart_id, owner_id, idempotency_key, context)
         select fresh.cart_id, fresh.owner_id, fresh.idempotency_key, $4
         from unnest($1::uuid[], $2::uuid[], $3::text[]) as fresh (cart_id, owner_id, idempotency_key)
         order by fresh.cart_id
         on conflict do nothing",
        &ids,
        &owners,
        &keys,
        crdt::codec::encode_context(&crdt::CausalContext::new()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Remembers the operations, so that a request which is repeated in this region gets its first reply.
///
/// # Errors
/// [`StoreError::Database`]; roll back.
pub async fn remember(
    connection: &mut PgConnection,
    from: ReplicaId,
    operations: &[(CartId, Operation)],
) -> Result<(), StoreError> {
    let (mut ids, mut keys, mut digests, mut outcomes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // What no client asked for is not repeated by one.
    for (cart_id, operation) in operations.iter().filter(|(_, operation)| !operation.request_digest.is_empty()) {
        ids.push(cart_id.as_uuid());
        keys.push(operation.key.clone());
        digests.push(operation.request_digest.clone());
        outcomes.push(operation.outcome.clone());
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta, origin)
         select done.cart_id, done.operation_key, done.request_digest, done.outcome, '', $5
         from unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[])
             as done (cart_id, operation_key, request_digest, outcome)
         on conflict do nothing",
        &ids,
        &keys,
        &digests,
        &outcomes,
        i16::from(from.0),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores at `replica` the checkouts as they stand there; a settled one is never undecided again. What one took is added once it is told.
pub(super) async fn write_checkouts(
    connection: &mut PgConnection,
    replica: ReplicaId,
    checkouts: &[(CartId, &CheckoutReplica)],
) -> Result<(), StoreError> {
    // One order may come several times in a batch: its furthest state stands, and its cut, which only its beginning tells, stays with it.
    let mut furthest = BTreeMap::new();
    for &(cart_id, checkout) in checkouts {
        let (_, known, cut) = furthest.entry(checkout.order_id.as_uuid()).or_insert((cart_id, checkout, &checkout.cut));
        if checkout.state > known.state {
            *known = checkout;
        }
        if cut.is_empty() {
            *cut = &checkout.cut;
        }
    }
    if furthest.is_empty() {
        return Ok(());
    }
    let (mut orders, mut ids, mut cuts, mut states) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut origins, mut dots, mut seen, mut ordered) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (order_id, (cart_id, checkout, cut)) in furthest {
        orders.push(order_id);
        ids.push(cart_id.as_uuid());
        cuts.push(cut.clone());
        states.push(checkout.state.name().to_owned());
        origins.push((checkout.origin != replica).then(|| i16::from(checkout.origin.0)));
        dots.push(signed(checkout.operation));
        seen.push(checkout.seen.clone());
        ordered.push(Json(&checkout.lines));
    }
    sqlx::query!(
        "insert into cart_checkout as stored
             (order_id, cart_id, cut, state, origin, operation, seen, ordered)
         select begun.order_id, begun.cart_id, begun.cut, begun.state, begun.origin, begun.operation, begun.seen, begun.ordered
         from unnest($1::uuid[], $2::uuid[], $3::bytea[], $4::text[], $5::smallint[], $6::bigint[], $7::bytea[], $8::jsonb[])
             as begun (order_id, cart_id, cut, state, origin, operation, seen, ordered)
         on conflict (order_id) do update
         set state = case when (stored.state, excluded.state) in
                              (('undecided', 'abandoned'), ('undecided', 'ordered'), ('abandoned', 'ordered'))
                          then excluded.state else stored.state end,
             cut = case when stored.cut = '' then excluded.cut else stored.cut end
         where (stored.state, excluded.state) in
                   (('undecided', 'abandoned'), ('undecided', 'ordered'), ('abandoned', 'ordered'))
             or (stored.cut = '' and excluded.cut <> '')",
        &orders,
        &ids,
        &cuts,
        &states,
        &origins as &[Option<i16>],
        &dots,
        &seen,
        &ordered as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Our own spent entries that were dropped: an operation of ours, since only we may drop them.
pub(super) async fn append_retired(
    connection: &mut PgConnection,
    retired: &[(CartId, CartDelta)],
) -> Result<(), StoreError> {
    if retired.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = retired.iter().map(|(cart_id, _)| cart_id.as_uuid()).collect();
    let deltas: Vec<Vec<u8>> = retired.iter().map(|(_, delta)| encode_delta(delta)).collect();
    sqlx::query!(
        "insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta)
         select retired.cart_id, 'retired:' || gen_random_uuid()::text, '', '', retired.delta
         from unnest($1::uuid[], $2::bytea[]) as retired (cart_id, delta)",
        &ids,
        &deltas,
    )
    .execute(connection)
    .await?;
    Ok(())
}
