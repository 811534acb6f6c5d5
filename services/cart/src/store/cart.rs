//! Creating and reading whole carts.

use crdt::codec::{decode_address, decode_context, decode_delta, decode_line, encode_context};
use crdt::{Cart, CausalContext};
use ids::{CartId, CustomerId, IdempotencyKey};
use sqlx::PgExecutor;
use sqlx::types::Json;

use super::StoreError;
use super::twice::{self, TwiceRow};
use crate::domain::{CartDelta, CartState, Item, OrderedTwice};

/// A cart as stored.
#[derive(Clone, Debug)]
pub struct CartRow {
    /// Who may see it.
    pub owner_id: CustomerId,
    /// The optimistic lock's value.
    pub revision: i64,
    /// The state.
    pub state: CartState,
    /// The cuts of undecided checkouts.
    pub undecided_cuts: Vec<CartDelta>,
    /// What two orders took.
    pub ordered_twice: Vec<OrderedTwice>,
}

/// Creates an empty cart for `owner_id`. Returns whether it is new: the same key makes the same cart, in both regions.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn create(
    database: impl PgExecutor<'_>,
    cart_id: CartId,
    owner_id: CustomerId,
    key: &IdempotencyKey,
) -> Result<bool, StoreError> {
    let created = sqlx::query_scalar!(
        r#"with created as (
               insert into cart (cart_id, owner_id, idempotency_key, context)
               values ($1, $2, $3, $4)
               on conflict do nothing
               returning cart_id
           ), logged as (
               insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta)
               select cart_id, 'created', '', '', '' from created
           )
           select exists (select from created) as "created!""#,
        cart_id.as_uuid(),
        owner_id.as_uuid(),
        key.as_str(),
        encode_context(&CausalContext::new()),
    );
    sabotage::crash_point("cart.create.before-commit").await;
    let created = created.fetch_one(database).await?;
    sabotage::crash_point("cart.create.after-commit").await;
    Ok(created)
}

/// Reads a cart whole, in one snapshot; `None` when there is none.
///
/// # Errors
/// [`StoreError`].
pub async fn load(database: impl PgExecutor<'_>, cart_id: CartId) -> Result<Option<CartRow>, StoreError> {
    let row = sqlx::query!(
        r#"select c.owner_id, c.revision, c.context, c.address,
                  array(select l.offer_id from cart_line l where l.cart_id = c.cart_id order by l.offer_id)
                      as "offer_ids!",
                  array(select l.line from cart_line l where l.cart_id = c.cart_id order by l.offer_id) as "lines!",
                  array(select k.cut from cart_checkout k where k.cart_id = c.cart_id and k.state = 'undecided')
                      as "cuts!",
                  (select jsonb_agg(t order by t.offer_id, t.first_order_id, t.second_order_id)
                   from cart_ordered_twice t where t.cart_id = c.cart_id) as "twice: Json<Vec<TwiceRow>>"
           from cart c
           where c.cart_id = $1"#,
        cart_id.as_uuid(),
    )
    .fetch_optional(database)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut lines = Vec::with_capacity(row.lines.len());
    for (offer_id, line) in row.offer_ids.iter().zip(&row.lines) {
        lines.push((Item(offer_id.parse()?), decode_line(line)?));
    }
    Ok(Some(CartRow {
        owner_id: CustomerId::from_uuid(row.owner_id),
        revision: row.revision,
        state: Cart::from_parts(decode_context(&row.context)?, lines).with_address(decode_address(&row.address)?),
        undecided_cuts: decode_cuts(&row.cuts)?,
        ordered_twice: row.twice.map_or(Ok(Vec::new()), |rows| twice::kept(rows.0))?,
    }))
}

pub(super) fn decode_cuts(cuts: &[Vec<u8>]) -> Result<Vec<CartDelta>, StoreError> {
    cuts.iter().map(|cut| Ok(decode_delta(cut)?)).collect()
}
