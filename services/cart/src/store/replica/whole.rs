//! Whole carts: digests to compare them by, states to repair them with.

use std::collections::BTreeMap;

use crdt::ReplicaId;
use crdt::codec::{decode_address, decode_context, decode_delta, decode_line, encode_cart};
use ids::{CartId, CustomerId, OrderId};
use replication::Digest;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::join::{append_retired, create, with_placed_orders, write_checkouts};
use super::lines::LockedCart;
use super::log::report_unreadable;
use super::{
    CartReplica, CheckoutReplica, CheckoutState, Creation, Ordered, StoreError, lines, ordered_lines, unsigned,
};
use crate::domain::{CartDelta, CartState, Item, JOINED_LINES_MAX};
use crate::store::twice;

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
                        where k.cart_id = c.cart_id order by k.order_id) as "checkouts!",
                  array(select concat_ws(' ', t.offer_id, t.first_order_id, t.second_order_id, t.quantity)
                        from cart_ordered_twice t where t.cart_id = c.cart_id
                        order by t.offer_id, t.first_order_id, t.second_order_id) as "ordered_twice!"
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
            row.ordered_twice.iter().for_each(|twice| part(twice.as_bytes()));
            let mut digest = [0; 16];
            digest.copy_from_slice(&hasher.finalize()[..16]);
            (CartId::from_uuid(row.cart_id), Digest(digest))
        })
        .collect())
}

/// The whole carts of `ids` at `replica` that are there, in order; the first of them when `bytes_max` is reached, but at least one. A cart
/// that cannot be read is left out: it stays different until it is mended.
///
/// In one snapshot: a state that knows of a checkout's end comes with that end, since versions name what is shown.
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
    let mut snapshot = chassis::database::begin(pool).await?;
    sqlx::query!("set transaction isolation level repeatable read read only").execute(&mut *snapshot).await?;
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
    .fetch_all(&mut *snapshot)
    .await?;
    let mut checkouts = checkouts(&mut snapshot, replica, &ids).await?;
    let mut ordered_twice = twice::known(&mut *snapshot, &ids).await?;
    // no crash point: it has read, and nothing else.
    snapshot.commit().await?;
    let (mut replicas, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let (cart_id, checkouts) = (CartId::from_uuid(row.cart_id), checkouts.remove(&row.cart_id));
        let ordered_twice = ordered_twice.remove(&row.cart_id).unwrap_or_default();
        let replica = || -> Result<CartReplica, StoreError> {
            let mut cart_lines = Vec::with_capacity(row.lines.len());
            for (offer_id, line) in row.offer_ids.iter().zip(&row.lines) {
                cart_lines.push((Item(offer_id.parse()?), decode_line(line)?));
            }
            let state = CartState::from_parts(decode_context(&row.context)?, cart_lines);
            let state = state.with_address(decode_address(&row.address)?);
            let mut checkouts = checkouts.unwrap_or(Ok(Vec::new()))?;
            bound_cuts(&mut checkouts, bytes_max);
            let (owner_id, idempotency_key) = (CustomerId::from_uuid(row.owner_id), row.idempotency_key.parse()?);
            let creation = Creation { owner_id, idempotency_key };
            Ok(CartReplica { creation, state: encode_cart(&state), checkouts, ordered_twice })
        };
        let replica = match replica() {
            Ok(replica) => replica,
            Err(error) => {
                report_unreadable(cart_id, &error);
                continue;
            }
        };
        bytes += replica.state.len() + replica.checkouts.iter().map(|checkout| checkout.cut.len()).sum::<usize>();
        if bytes > bytes_max && !replicas.is_empty() {
            break;
        }
        replicas.push((cart_id, replica));
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

/// The checkouts of carts; an error for a cart of which one cannot be read.
async fn checkouts(
    connection: &mut PgConnection,
    replica: ReplicaId,
    ids: &[Uuid],
) -> Result<BTreeMap<Uuid, Result<Vec<CheckoutReplica>, StoreError>>, StoreError> {
    let rows = sqlx::query!(
        r#"select order_id, cart_id, case state when 'abandoned' then '' else cut end as "cut!", state,
                  coalesce(origin, $2) as "origin!", operation, seen, ordered as "ordered: Ordered"
           from cart_checkout where cart_id = any($1) order by order_id"#,
        ids,
        i16::from(replica.0),
    )
    .fetch_all(connection)
    .await?;
    let mut checkouts: BTreeMap<Uuid, Result<Vec<CheckoutReplica>, StoreError>> = BTreeMap::new();
    for row in rows {
        let checkout = || -> Result<CheckoutReplica, StoreError> {
            Ok(CheckoutReplica {
                order_id: OrderId::from_uuid(row.order_id),
                cut: row.cut,
                state: CheckoutState::of(&row.state)?,
                origin: ReplicaId(u8::try_from(row.origin).unwrap_or(replica.0)),
                operation: unsigned(row.operation),
                seen: row.seen,
                lines: ordered_lines(row.ordered)?,
            })
        };
        let of_cart = checkouts.entry(row.cart_id).or_insert_with(|| Ok(Vec::new()));
        match (checkout(), of_cart.as_mut()) {
            (Ok(checkout), Ok(of_cart)) => of_cart.push(checkout),
            (Err(error), Ok(_)) => *of_cart = Err(error),
            (_, Err(_)) => {}
        }
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

    let (mut refused, mut retired) = (Vec::new(), Vec::new());
    let (mut checkouts, mut ordered_twice) = (Vec::new(), Vec::new());
    refused.extend(std::mem::take(&mut carts.unreadable));
    for (cart_id, theirs) in replicas {
        let Some(cart) = carts.carts.get_mut(cart_id) else { continue };
        match join_whole(cart, theirs, replica) {
            Ok(dropped) => {
                retired.extend(dropped.into_iter().map(|delta| (*cart_id, delta)));
                checkouts.extend(theirs.checkouts.iter().map(|checkout| (*cart_id, checkout)));
                ordered_twice.extend(theirs.ordered_twice.iter().map(|twice| (*cart_id, twice.clone())));
            }
            Err(reason) => refused.push((*cart_id, reason)),
        }
    }
    lines::write(connection, &carts).await?;
    write_checkouts(connection, replica, &checkouts).await?;
    twice::keep(connection, &ordered_twice).await?;
    twice::record(connection, replica, &with_placed_orders(&checkouts)).await?;
    append_retired(connection, &retired).await?;
    Ok(refused)
}

/// Joins a whole cart into ours; when it is refused, nothing has changed. Returns our own entries that are spent now and were dropped.
fn join_whole(cart: &mut LockedCart, theirs: &CartReplica, replica: ReplicaId) -> Result<Vec<CartDelta>, String> {
    let whole: CartDelta = decode_delta(&theirs.state).map_err(|error| error.to_string())?;
    crdt::validate_from_peer(&whole, replica, &cart.context).map_err(|error| error.to_string())?;
    theirs.checkouts.iter().try_for_each(CheckoutReplica::check).map_err(|error| error.to_string())?;
    let ours = CartState::from_parts(cart.context.clone(), cart.lines.clone());
    let mut ours = ours.with_address(cart.address.clone());
    ours.join(&CartState::from(whole));
    let retired = ours.retire(replica);
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
    Ok(retired)
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
