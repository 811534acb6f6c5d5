//! Finding and keeping what two orders took.

use std::collections::BTreeMap;

use crdt::codec::{decode_context, decode_delta};
use crdt::{Dot, ReplicaId};
use ids::{CartId, OrderId};
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::StoreError;
use super::replica::{Ordered, ordered_lines, unsigned};
use crate::domain::{OrderedTwice, PlacedCut, ordered_twice};

/// Placed orders of a cart that are compared with one another, the newest ones. Only two that did not know of each other can have taken the
/// same units, so this is how many orders of one cart may be placed while the link is cut.
const COMPARED_MAX: i64 = 200;

/// Finds and keeps what two orders of one of `carts` took, as far as both are placed and known here. To be called in the transaction that
/// learns of a placed order, when that is stored. What was found before is found again, and changes nothing.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn record(
    connection: &mut PgConnection,
    replica: ReplicaId,
    carts: &[Uuid],
) -> Result<(), StoreError> {
    if carts.is_empty() {
        return Ok(());
    }
    let mut twice = Vec::new();
    for (cart_id, placed) in placed(connection, replica, carts).await? {
        for (at, one) in placed.iter().enumerate() {
            let found = placed[at + 1..].iter().flat_map(|other| ordered_twice(one, other));
            twice.extend(found.map(|twice| (cart_id, twice)));
        }
    }
    keep(connection, &twice).await
}

/// Keeps what two orders took; of an offer and two orders that are known already, the larger number.
///
/// # Errors
/// [`StoreError::Database`].
pub(super) async fn keep(connection: &mut PgConnection, twice: &[(CartId, OrderedTwice)]) -> Result<(), StoreError> {
    for (cart_id, twice) in twice {
        let [first, second] = twice.order_ids;
        sqlx::query!(
            "insert into cart_ordered_twice as known (cart_id, offer_id, first_order_id, second_order_id, quantity)
             values ($1, $2, $3, $4, $5)
             on conflict (cart_id, offer_id, first_order_id, second_order_id) do update set quantity = excluded.quantity
             where known.quantity < excluded.quantity",
            cart_id.as_uuid(),
            twice.offer_id.as_str(),
            first.as_uuid(),
            second.as_uuid(),
            i64::try_from(twice.quantity).unwrap_or(i64::MAX),
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What the placed orders took, of carts that were ordered in more than one region: orders of one region take nothing twice.
async fn placed(
    connection: &mut PgConnection,
    replica: ReplicaId,
    carts: &[Uuid],
) -> Result<BTreeMap<CartId, Vec<PlacedCut>>, StoreError> {
    let rows = sqlx::query!(
        r#"select k.cart_id, k.order_id, coalesce(k.origin, $2) as "origin!", k.operation, k.seen, k.cut,
                  k.ordered as "ordered: Ordered"
           from unnest($1::uuid[]) as named (cart_id)
           cross join lateral (
               select * from cart_checkout
               where cart_id = named.cart_id and state = 'ordered' and seen <> '' and cut <> ''
               order by order_id desc
               limit $3
           ) k
           where (select count(distinct coalesce(origin, $2)) from cart_checkout
                  where cart_id = named.cart_id and state = 'ordered') > 1"#,
        carts,
        i16::from(replica.0),
        COMPARED_MAX,
    )
    .fetch_all(connection)
    .await?;
    let mut placed: BTreeMap<CartId, Vec<PlacedCut>> = BTreeMap::new();
    for row in rows {
        let (cart_id, order_id) = (CartId::from_uuid(row.cart_id), OrderId::from_uuid(row.order_id));
        let origin = ReplicaId(u8::try_from(row.origin).unwrap_or(replica.0));
        let cut = || -> Result<PlacedCut, StoreError> {
            Ok(PlacedCut {
                order_id,
                operation: Dot::new(origin, unsigned(row.operation)),
                seen: decode_context(&row.seen)?,
                cut: decode_delta(&row.cut)?,
                lines: ordered_lines(row.ordered)?,
            })
        };
        match cut() {
            Ok(cut) => placed.entry(cart_id).or_default().push(cut),
            // It is for the shopper's information: no order waits for it.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(%cart_id, %order_id, error, "what a placed order took cannot be read");
            }
        }
    }
    Ok(placed)
}

/// What is known of `carts`.
///
/// # Errors
/// [`StoreError`].
pub(super) async fn known(
    database: impl PgExecutor<'_>,
    carts: &[Uuid],
) -> Result<BTreeMap<Uuid, Vec<OrderedTwice>>, StoreError> {
    let rows = sqlx::query!(
        r#"select t.cart_id, jsonb_agg(t order by t.offer_id, t.first_order_id, t.second_order_id)
               as "twice!: Json<Vec<TwiceRow>>"
           from cart_ordered_twice t where t.cart_id = any($1)
           group by t.cart_id"#,
        carts,
    )
    .fetch_all(database)
    .await?;
    rows.into_iter().map(|row| Ok((row.cart_id, kept(row.twice.0)?))).collect()
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
