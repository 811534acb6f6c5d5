//! Finding and keeping what two orders took.

use std::collections::BTreeMap;

use crdt::codec::decode_context;
use crdt::{Dot, ReplicaId};
use ids::{CartId, OfferId, OrderId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::replica::{checkout_lines, unsigned};
use crate::domain::{Item, LineEntries, OrderedTwice, PlacedCut, ordered_twice};

/// Units of each line.
pub(super) fn quantities(lines: &BTreeMap<Item, LineEntries>) -> BTreeMap<Item, u64> {
    lines.iter().map(|(item, line)| (item.clone(), line.quantity())).collect()
}

/// Keeps which of the `missing` units of an order another order of the cart took. To be called when the order's cut was joined and its
/// checkout is stored as ordered, in the same transaction.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn record(
    connection: &mut PgConnection,
    replica: ReplicaId,
    cart_id: CartId,
    order_id: OrderId,
    missing: &BTreeMap<OfferId, u64>,
) -> Result<(), StoreError> {
    // As good as always nothing is missing.
    if missing.is_empty() {
        return Ok(());
    }
    let placed = placed(connection, replica, cart_id).await?;
    let Some(this) = placed.iter().find(|cut| cut.order_id == order_id) else { return Ok(()) };
    for OrderedTwice { offer_id, quantity, order_ids: [first, second] } in ordered_twice(this, missing, &placed) {
        sqlx::query!(
            "insert into cart_ordered_twice (cart_id, offer_id, first_order_id, second_order_id, quantity)
             values ($1, $2, $3, $4, $5)
             on conflict do nothing",
            cart_id.as_uuid(),
            offer_id.as_str(),
            first.as_uuid(),
            second.as_uuid(),
            i64::try_from(quantity).unwrap_or(i64::MAX),
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What the placed orders of a cart took.
async fn placed(
    connection: &mut PgConnection,
    replica: ReplicaId,
    cart_id: CartId,
) -> Result<Vec<PlacedCut>, StoreError> {
    let rows = sqlx::query!(
        r#"select order_id, coalesce(origin, $2) as "origin!", operation, seen, offer_ids, quantities
           from cart_checkout where cart_id = $1 and state = 'ordered' and seen <> ''"#,
        cart_id.as_uuid(),
        i16::from(replica.0),
    )
    .fetch_all(connection)
    .await?;
    let mut placed = Vec::with_capacity(rows.len());
    for row in rows {
        let origin = ReplicaId(u8::try_from(row.origin).unwrap_or(replica.0));
        placed.push(PlacedCut {
            order_id: OrderId::from_uuid(row.order_id),
            operation: Dot::new(origin, unsigned(row.operation)),
            seen: decode_context(&row.seen)?,
            lines: checkout_lines(&row.offer_ids, &row.quantities)?,
        });
    }
    Ok(placed)
}

/// What was kept, from the columns of a query.
pub(super) fn kept(
    offer_ids: &[String],
    quantities: &[i64],
    orders: &[(Uuid, Uuid)],
) -> Result<Vec<OrderedTwice>, StoreError> {
    let one = |((offer_id, units), (first, second)): ((&String, &i64), &(Uuid, Uuid))| {
        Ok(OrderedTwice {
            offer_id: offer_id.parse()?,
            quantity: unsigned(*units),
            order_ids: [OrderId::from_uuid(*first), OrderId::from_uuid(*second)],
        })
    };
    offer_ids.iter().zip(quantities).zip(orders).map(one).collect()
}
