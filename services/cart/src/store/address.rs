//! Reading and writing the delivery address.

use crdt::codec::{decode_address, decode_context, encode_address, encode_context, encode_delta};
use ids::{CartId, CustomerId};
use sqlx::PgExecutor;

use super::edit::written;
use super::{StoreError, Stored, Write};
use crate::domain::{AddressState, CartDelta};

/// A cart's address and what is needed to edit it.
#[derive(Clone, Debug)]
pub struct LoadedAddress {
    /// Who may see the cart.
    pub owner_id: CustomerId,
    /// The optimistic lock's value.
    pub revision: i64,
    /// What the rules need.
    pub state: AddressState,
    /// The reply to an earlier request with the same key.
    pub stored: Option<Stored>,
}

/// Reads the cart's context and address, and whether `operation_key` was done before. One round trip, and no line is read.
///
/// # Errors
/// [`StoreError`].
pub async fn load_address(
    database: impl PgExecutor<'_>,
    cart_id: CartId,
    operation_key: &str,
) -> Result<Option<LoadedAddress>, StoreError> {
    let row = sqlx::query!(
        r#"select c.owner_id, c.revision, c.context, c.address,
                  o.request_digest as "request_digest?", o.outcome as "outcome?"
           from cart c
           left join cart_operation o on o.cart_id = c.cart_id and o.operation_key = $2
           where c.cart_id = $1"#,
        cart_id.as_uuid(),
        operation_key,
    )
    .fetch_optional(database)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let stored = row.request_digest.zip(row.outcome);
    Ok(Some(LoadedAddress {
        owner_id: CustomerId::from_uuid(row.owner_id),
        revision: row.revision,
        state: AddressState { context: decode_context(&row.context)?, address: decode_address(&row.address)? },
        stored: stored.map(|(request_digest, outcome)| Stored { request_digest, outcome }),
    }))
}

/// Writes the address that an edit left, its log entry and its reply, if the cart is still at `revision` and the key is new. One
/// statement, so one round trip and one commit.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn commit_address(
    database: impl PgExecutor<'_>,
    cart_id: CartId,
    revision: i64,
    edited: &AddressState,
    delta: &CartDelta,
    operation_key: &str,
    stored: &Stored,
) -> Result<Write, StoreError> {
    sabotage::crash_point("cart.address.before-commit").await;
    let moved = sqlx::query_scalar!(
        r#"with moved as (
               update cart set context = $3, address = $4, revision = revision + 1
               where cart_id = $1 and revision = $2
               returning cart_id
           ), logged as (
               insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta)
               select cart_id, $5, $6, $7, $8 from moved
           )
           select count(*) as "moved!" from moved"#,
        cart_id.as_uuid(),
        revision,
        encode_context(&edited.context),
        encode_address(&edited.address),
        operation_key,
        stored.request_digest,
        stored.outcome,
        encode_delta(delta),
    )
    .fetch_one(database)
    .await;
    sabotage::crash_point("cart.address.after-commit").await;
    written(moved)
}
