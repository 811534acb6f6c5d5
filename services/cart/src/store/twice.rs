//! Finding and keeping what two orders took.

use std::collections::BTreeMap;

use crdt::codec::decode_context;
use crdt::{Dot, ReplicaId};
use ids::{CartId, OfferId, OrderId};
use serde::Deserialize;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::replica::{Ordered, ordered_lines, unsigned};
use crate::domain::{Item, LineEntries, OrderedTwice, PlacedCut, ordered_twice};

/// Units of each line.
pub(super) fn quantities(lines: &BTreeMap<Item, LineEntries>) -> BTreeMap<Item, u64> {
    lines.iter().map(|(item, line)| (item.clone(), line.quantity())).collect()
}

/// Units that an order took and that were no longer in the cart when its cut was joined.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) cart_id: CartId,
    pub(super) order_id: OrderId,
    pub(super) units: BTreeMap<OfferId, u64>,
}

/// Those of orders whose cut had not been joined before: of a cut that is joined again everything is missing, and it says nothing. To be
/// called before their checkouts are stored as ordered.
///
/// # Errors
/// [`StoreError::Database`].
pub(super) async fn not_settled_yet(
    connection: &mut PgConnection,
    mut missing: Vec<Missing>,
) -> Result<Vec<Missing>, StoreError> {
    missing.retain(|one| !one.units.is_empty());
    // As good as always nothing is missing.
    if missing.is_empty() {
        return Ok(missing);
    }
    let orders: Vec<Uuid> = missing.iter().map(|one| one.order_id.as_uuid()).collect();
    let settled = sqlx::query_scalar!(
        "select order_id from cart_checkout where order_id = any($1) and state = 'ordered'",
        &orders,
    )
    .fetch_all(connection)
    .await?;
    missing.retain(|one| !settled.contains(&one.order_id.as_uuid()));
    Ok(missing)
}

/// Keeps which of the missing units another order of the cart took. To be called when the orders' cuts were joined and their checkouts
/// are stored as ordered, in the same transaction.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn record(
    connection: &mut PgConnection,
    replica: ReplicaId,
    missing: &[Missing],
) -> Result<(), StoreError> {
    for Missing { cart_id, order_id, units } in missing {
        let placed = placed(connection, replica, *cart_id).await?;
        let Some(this) = placed.iter().find(|cut| cut.order_id == *order_id) else { continue };
        for twice in ordered_twice(this, units, &placed) {
            keep(connection, *cart_id, &twice).await?;
        }
    }
    Ok(())
}

async fn keep(connection: &mut PgConnection, cart_id: CartId, twice: &OrderedTwice) -> Result<(), StoreError> {
    let [first, second] = twice.order_ids;
    sqlx::query!(
        "insert into cart_ordered_twice (cart_id, offer_id, first_order_id, second_order_id, quantity)
         values ($1, $2, $3, $4, $5)
         on conflict do nothing",
        cart_id.as_uuid(),
        twice.offer_id.as_str(),
        first.as_uuid(),
        second.as_uuid(),
        i64::try_from(twice.quantity).unwrap_or(i64::MAX),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the placed orders of a cart took.
async fn placed(
    connection: &mut PgConnection,
    replica: ReplicaId,
    cart_id: CartId,
) -> Result<Vec<PlacedCut>, StoreError> {
    let rows = sqlx::query!(
        r#"select order_id, coalesce(origin, $2) as "origin!", operation, seen, ordered as "ordered: Ordered"
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
            lines: ordered_lines(row.ordered)?,
        });
    }
    Ok(placed)
}

/// A row of what was kept, as JSON: there is as good as never one, so the query of a cart asks for all of them in one look.
#[derive(Debug, Deserialize)]
pub(super) struct TwiceRow {
    offer_id: String,
    first_order_id: Uuid,
    second_order_id: Uuid,
    quantity: u64,
}

/// What was kept.
pub(super) fn kept(rows: Vec<TwiceRow>) -> Result<Vec<OrderedTwice>, StoreError> {
    let one = |row: TwiceRow| {
        Ok(OrderedTwice {
            offer_id: row.offer_id.parse()?,
            quantity: row.quantity,
            order_ids: [OrderId::from_uuid(row.first_order_id), OrderId::from_uuid(row.second_order_id)],
        })
    };
    rows.into_iter().map(one).collect()
}
