//! Whole carts: digests to compare them by, states to repair them with.

use std::collections::BTreeMap;

use crdt::ReplicaId;
use crdt::codec::{decode_context, decode_delta, decode_line, encode_cart};
use ids::{CartId, CustomerId, OrderId};
use replication::Digest;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::join::{append_retired, create, write_checkouts};
use super::{CartReplica, CheckoutReplica, CheckoutState, Creation, StoreError, lines};
use crate::domain::{CartDelta, CartState, Item, JOINED_LINES_MAX};

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
        r#"select c.cart_id, c.context,
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
    database: impl PgExecutor<'_>,
    replica: ReplicaId,
    ids: &[CartId],
    bytes_max: usize,
) -> Result<Vec<(CartId, CartReplica)>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|cart_id| cart_id.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"select c.cart_id, c.owner_id, c.idempotency_key, c.context,
                  array(select l.offer_id from cart_line l where l.cart_id = c.cart_id order by l.offer_id)
                      as "offer_ids!",
                  array(select l.line from cart_line l where l.cart_id = c.cart_id order by l.offer_id) as "lines!",
                  array(select k.order_id from cart_checkout k where k.cart_id = c.cart_id order by k.order_id)
                      as "order_ids!",
                  array(select case k.state when 'undecided' then k.cut else '' end
                        from cart_checkout k where k.cart_id = c.cart_id order by k.order_id) as "cuts!",
                  array(select k.state from cart_checkout k where k.cart_id = c.cart_id order by k.order_id)
                      as "states!",
                  array(select coalesce(k.origin, $2) from cart_checkout k
                        where k.cart_id = c.cart_id order by k.order_id) as "origins!"
           from cart c
           where c.cart_id = any($1)
           order by c.cart_id"#,
        &ids,
        i16::from(replica.0),
    )
    .fetch_all(database)
    .await?;
    let (mut replicas, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let mut cart_lines = Vec::with_capacity(row.lines.len());
        for (offer_id, line) in row.offer_ids.iter().zip(&row.lines) {
            cart_lines.push((Item(offer_id.parse()?), decode_line(line)?));
        }
        let mut checkouts = Vec::with_capacity(row.order_ids.len());
        for ((order_id, cut), (state, origin)) in
            row.order_ids.into_iter().zip(row.cuts).zip(row.states.iter().zip(&row.origins))
        {
            checkouts.push(CheckoutReplica {
                order_id: OrderId::from_uuid(order_id),
                cut,
                state: CheckoutState::of(state)?,
                origin: ReplicaId(u8::try_from(*origin).unwrap_or(replica.0)),
                operation: 0,
                seen: Vec::new(),
                lines: BTreeMap::new(),
            });
        }
        let replica = CartReplica {
            creation: Creation {
                owner_id: CustomerId::from_uuid(row.owner_id),
                idempotency_key: row.idempotency_key.parse()?,
            },
            state: encode_cart(&CartState::from_parts(decode_context(&row.context)?, cart_lines)),
            checkouts,
        };
        bytes += replica.state.len() + replica.checkouts.iter().map(|checkout| checkout.cut.len()).sum::<usize>();
        if bytes > bytes_max && !replicas.is_empty() {
            break;
        }
        replicas.push((CartId::from_uuid(row.cart_id), replica));
    }
    Ok(replicas)
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
    lines::read_lines(connection, &mut carts, None).await?;

    let (mut refused, mut retired) = (Vec::new(), Vec::new());
    for (cart_id, theirs) in replicas {
        let Some(cart) = carts.get_mut(cart_id) else { continue };
        let whole: CartDelta = match decode_delta(&theirs.state) {
            Ok(whole) => whole,
            Err(error) => {
                refused.push((*cart_id, error.to_string()));
                continue;
            }
        };
        if let Err(error) = crdt::validate_from_peer(&whole, replica, &cart.context) {
            refused.push((*cart_id, error.to_string()));
            continue;
        }
        let mut ours = CartState::from_parts(cart.context.clone(), cart.lines.clone());
        ours.join(&CartState::from_parts(whole.context, whole.lines));
        let spent = ours.retire(replica);
        if ours.lines().len() > JOINED_LINES_MAX {
            refused.push((*cart_id, format!("cart would have more than {JOINED_LINES_MAX} lines")));
            continue;
        }
        if let Err(error) = crdt::validate_joined(ours.context(), ours.lines().map(|(_, line)| line)) {
            refused.push((*cart_id, error.to_string()));
            continue;
        }
        // Lines that are gone stay in the map, empty, to be deleted.
        cart.lines.values_mut().for_each(|line| *line = Default::default());
        cart.lines.extend(ours.lines().map(|(item, line)| (item.clone(), line.clone())));
        cart.line_count = ours.lines().count();
        cart.context = ours.context().clone();
        retired.extend(spent.into_iter().map(|delta| (*cart_id, delta)));
    }
    lines::write(connection, &carts).await?;
    let checkouts: Vec<(CartId, &CheckoutReplica)> =
        replicas.iter().flat_map(|(id, replica)| replica.checkouts.iter().map(|checkout| (*id, checkout))).collect();
    write_checkouts(connection, replica, &checkouts).await?;
    append_retired(connection, &retired).await?;
    Ok(refused)
}
