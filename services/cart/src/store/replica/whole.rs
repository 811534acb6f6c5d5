//! Whole carts: digests to compare them by, states to repair them with.

use std::collections::BTreeMap;

use crdt::ReplicaId;
use crdt::codec::{decode_address, decode_context, decode_delta, decode_line, encode_cart};
use ids::{CartId, CustomerId, OfferId, OrderId};
use replication::Digest;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::join::{append_retired, create, write_checkouts};
use super::lines::LockedCart;
use super::{
    CartReplica, CheckoutReplica, CheckoutState, Creation, Ordered, StoreError, lines, ordered_lines, unsigned,
};
use crate::domain::{CartDelta, CartState, Item, JOINED_LINES_MAX, missing};
use crate::store::twice::{self, Missing};

/// The digests of the carts in (`after`, `last`] by id, at most `limit`.
///
/// Over the stored bytes, which are canonical: equal values are equal bytes.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn digests(
    database: impl PgExecutor<'_>,
    after: Option<CartId>,
    last: Option<CartId>,
    limit: usize,
) -> Result<Vec<(CartId, Digest)>, StoreError> {
    let rows = sqlx::query!(
        r#"select c.cart_id, c.context, c.address,
                  array(select l.offer_id from cart_line l where l.cart_id = c.cart_id order by l.offer_id)
                      as "offer_ids!",
                  array(select l.line from cart_line l where l.cart_id = c.cart_id order by l.offer_id) as "lines!",
                  array(select k.order_id::text || k.state from cart_checkout k
                        where k.cart_id = c.cart_id order by k.order_id) as "checkouts!"
           from cart c
           where ($1::uuid is null or c.cart_id > $1) and ($2::uuid is null or c.cart_id <= $2)
           order by c.cart_id
           limit $3"#,
        after.map(CartId::as_uuid),
        last.map(CartId::as_uuid),
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(database)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut hasher = Sha256::new();
            let mut part = |bytes: &[u8]| {
                hasher.update((bytes.len() as u64).to_be_bytes());
                hasher.update(bytes);
            };
            part(row.cart_id.as_bytes());
            part(&row.context);
            part(&row.address);
            row.offer_ids.iter().zip(&row.lines).for_each(|(offer_id, line)| {
                part(offer_id.as_bytes());
                part(line);
            });
            row.checkouts.iter().for_each(|checkout| part(checkout.as_bytes()));
            let mut digest = [0; 16];
            digest.copy_from_slice(&hasher.finalize()[..16]);
            (CartId::from_uuid(row.cart_id), Digest(digest))
        })
        .collect())
}

/// The whole carts of `ids` at `replica` that are there, in order; the first of them when `bytes_max` is reached, but at least one.
///
/// # Errors
/// [`StoreError`].
pub async fn replicas(
    pool: &PgPool,
    replica: ReplicaId,
    ids: &[CartId],
    bytes_max: usize,
) -> Result<Vec<(CartId, CartReplica)>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|cart_id| cart_id.as_uuid()).collect();
    let mut checkouts = checkouts(pool, replica, &ids).await?;
    let rows = sqlx::query!(
        r#"select c.cart_id, c.owner_id, c.idempotency_key, c.context, c.address,
                  array(select l.offer_id from cart_line l where l.cart_id = c.cart_id order by l.offer_id)
                      as "offer_ids!",
                  array(select l.line from cart_line l where l.cart_id = c.cart_id order by l.offer_id) as "lines!"
           from cart c
           where c.cart_id = any($1)
           order by c.cart_id"#,
        &ids,
    )
    .fetch_all(pool)
    .await?;
    let (mut replicas, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let mut cart_lines = Vec::with_capacity(row.lines.len());
        for (offer_id, line) in row.offer_ids.iter().zip(&row.lines) {
            cart_lines.push((Item(offer_id.parse()?), decode_line(line)?));
        }
        let state = CartState::from_parts(decode_context(&row.context)?, cart_lines);
        let state = state.with_address(decode_address(&row.address)?);
        let mut cart_checkouts = checkouts.remove(&row.cart_id).unwrap_or_default();
        bound_cuts(&mut cart_checkouts, bytes_max);
        let replica = CartReplica {
            creation: Creation {
                owner_id: CustomerId::from_uuid(row.owner_id),
                idempotency_key: row.idempotency_key.parse()?,
            },
            state: encode_cart(&state),
            checkouts: cart_checkouts,
        };
        bytes += replica.state.len() + replica.checkouts.iter().map(|checkout| checkout.cut.len()).sum::<usize>();
        if bytes > bytes_max && !replicas.is_empty() {
            break;
        }
        replicas.push((CartId::from_uuid(row.cart_id), replica));
    }
    Ok(replicas)
}

/// Keeps the cuts of placed orders to `bytes_max` in all, the newest first: a cart that has ordered for years must still fit a message. An
/// older order that is told of without its cut is not looked at for what was ordered twice.
fn bound_cuts(checkouts: &mut [CheckoutReplica], bytes_max: usize) {
    let mut room = bytes_max;
    // By order id, which begins with its time.
    for checkout in checkouts.iter_mut().rev().filter(|checkout| checkout.state == CheckoutState::Ordered) {
        match room.checked_sub(checkout.cut.len()) {
            Some(left) => room = left,
            None => {
                checkout.cut.clear();
                checkout.lines.clear();
            }
        }
    }
}

/// The checkouts of carts. Read apart from the states: a checkout that is settled in between is told of again by its own operation.
async fn checkouts(
    pool: &PgPool,
    replica: ReplicaId,
    ids: &[Uuid],
) -> Result<BTreeMap<Uuid, Vec<CheckoutReplica>>, StoreError> {
    let rows = sqlx::query!(
        r#"select order_id, cart_id, case state when 'abandoned' then '' else cut end as "cut!", state,
                  coalesce(origin, $2) as "origin!", operation, seen, ordered as "ordered: Ordered"
           from cart_checkout where cart_id = any($1) order by order_id"#,
        ids,
        i16::from(replica.0),
    )
    .fetch_all(pool)
    .await?;
    let mut checkouts: BTreeMap<Uuid, Vec<CheckoutReplica>> = BTreeMap::new();
    for row in rows {
        checkouts.entry(row.cart_id).or_default().push(CheckoutReplica {
            order_id: OrderId::from_uuid(row.order_id),
            cut: row.cut,
            state: CheckoutState::of(&row.state)?,
            origin: ReplicaId(u8::try_from(row.origin).unwrap_or(replica.0)),
            operation: unsigned(row.operation),
            seen: row.seen,
            lines: ordered_lines(row.ordered)?,
        });
    }
    Ok(checkouts)
}

/// Joins whole carts at `replica`, in the caller's transaction. Returns those that were refused, with the reason.
///
/// # Errors
/// [`StoreError`]; roll back.
pub async fn join_replicas(
    connection: &mut PgConnection,
    replica: ReplicaId,
    replicas: &[(CartId, CartReplica)],
) -> Result<Vec<(CartId, String)>, StoreError> {
    let creations: Vec<(CartId, &Creation)> = replicas.iter().map(|(id, replica)| (*id, &replica.creation)).collect();
    create(connection, &creations).await?;
    let mut ids: Vec<Uuid> = replicas.iter().map(|(cart_id, _)| cart_id.as_uuid()).collect();
    ids.sort_unstable();
    let mut carts = lines::lock(connection, &ids).await?;
    lines::read_all(connection, &mut carts).await?;

    let (mut refused, mut retired, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (cart_id, theirs) in replicas {
        let Some(cart) = carts.get_mut(cart_id) else { continue };
        match join_whole(cart, theirs, replica) {
            Ok(joined) => {
                retired.extend(joined.retired.into_iter().map(|delta| (*cart_id, delta)));
                missing.extend(joined.missing.into_iter().map(|(order_id, units)| Missing {
                    cart_id: *cart_id,
                    order_id,
                    units,
                }));
            }
            Err(reason) => refused.push((*cart_id, reason)),
        }
    }
    lines::write(connection, &carts).await?;
    let missing = twice::not_settled_yet(connection, missing).await?;
    let checkouts: Vec<(CartId, &CheckoutReplica)> =
        replicas.iter().flat_map(|(id, replica)| replica.checkouts.iter().map(|checkout| (*id, checkout))).collect();
    write_checkouts(connection, replica, &checkouts).await?;
    twice::record(connection, replica, &missing).await?;
    append_retired(connection, &retired).await?;
    Ok(refused)
}

/// What joining a whole cart has brought to light.
#[derive(Default)]
struct JoinedWhole {
    /// Our own entries that are spent now and were dropped.
    retired: Vec<CartDelta>,
    /// Of each order placed there, the units that were no longer here.
    missing: Vec<(OrderId, BTreeMap<OfferId, u64>)>,
}

/// Joins a whole cart into ours; when it is refused, nothing has changed.
fn join_whole(cart: &mut LockedCart, theirs: &CartReplica, replica: ReplicaId) -> Result<JoinedWhole, String> {
    let decoded = |bytes: &[u8]| -> Result<CartDelta, String> {
        let delta = decode_delta(bytes).map_err(|error| error.to_string())?;
        crdt::validate_from_peer(&delta, replica, &cart.context).map_err(|error| error.to_string())?;
        Ok(delta)
    };
    let whole = decoded(&theirs.state)?;
    let ours = CartState::from_parts(cart.context.clone(), cart.lines.clone());
    let mut ours = ours.with_address(cart.address.clone());
    let mut joined = JoinedWhole::default();
    // Their state holds the cuts of placed orders, so joining those first changes nothing, but shows what each of them took.
    let placed = |checkout: &&CheckoutReplica| checkout.state == CheckoutState::Ordered && !checkout.cut.is_empty();
    for checkout in theirs.checkouts.iter().filter(placed) {
        let cut = decoded(&checkout.cut)?;
        let before = quantities(&ours);
        ours.join_delta(&cut);
        joined.missing.push((checkout.order_id, missing(&checkout.lines, &before, &quantities(&ours))));
    }
    ours.join(&CartState::from(whole));
    joined.retired = ours.retire(replica);
    if ours.lines().len() > JOINED_LINES_MAX {
        return Err(format!("cart would have more than {JOINED_LINES_MAX} lines"));
    }
    crdt::validate_joined(ours.context(), ours.lines().map(|(_, line)| line)).map_err(|error| error.to_string())?;
    // Lines that are gone stay in the map, empty, to be deleted.
    cart.lines.values_mut().for_each(|line| *line = Default::default());
    cart.lines.extend(ours.lines().map(|(item, line)| (item.clone(), line.clone())));
    cart.line_count = ours.lines().count();
    cart.context = ours.context().clone();
    cart.address = ours.address().clone();
    Ok(joined)
}

fn quantities(cart: &CartState) -> BTreeMap<Item, u64> {
    cart.lines().map(|(item, line)| (item.clone(), line.quantity())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_of_placed_orders_are_bounded_and_the_newest_stay() {
        let checkout = |number: u128, state| CheckoutReplica {
            order_id: OrderId::from_uuid(Uuid::from_u128(number)),
            cut: vec![0; 40],
            state,
            origin: ReplicaId(1),
            operation: 1,
            seen: vec![1],
            lines: BTreeMap::from([("mug".parse().unwrap(), 1)]),
        };
        let (undecided, ordered) = (CheckoutState::Undecided, CheckoutState::Ordered);
        let mut checkouts = [undecided, ordered, ordered, ordered].map(|state| checkout(1, state));
        bound_cuts(&mut checkouts, 100);
        let kept = checkouts.each_ref().map(|checkout| (checkout.cut.len(), checkout.lines.len()));
        assert_eq!(kept, [(40, 1), (0, 0), (40, 1), (40, 1)]);
    }
}
