//! Reading and writing one line.

use std::collections::BTreeSet;

use crdt::codec::{decode_context, decode_line, encode_context, encode_delta, encode_line};
use ids::{CartId, CustomerId};
use sqlx::PgExecutor;

use super::cart::decode_cuts;
use super::{StoreError, Write};
use crate::domain::{EditedLine, Item, LineEntries, LineState, currencies_of_line, prices_of_line};

/// What a repeated request finds: the digest of the first request and the reply it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of the first request.
    pub request_digest: Vec<u8>,
    /// The encoded reply.
    pub outcome: Vec<u8>,
}

/// A cart's line and what is needed to edit it.
#[derive(Clone, Debug)]
pub struct LoadedLine {
    /// Who may see the cart.
    pub owner_id: CustomerId,
    /// The optimistic lock's value.
    pub revision: i64,
    /// What the rules need.
    pub state: LineState,
    /// The reply to an earlier request with the same key.
    pub stored: Option<Stored>,
}

/// Reads the cart's context and the line of `item`, and whether `operation_key` was done before. One round trip. The other lines are read
/// for their currencies and prices alone; an edit that is decided from memory does without.
///
/// # Errors
/// [`StoreError`].
pub async fn load_line(
    database: impl PgExecutor<'_>,
    cart_id: CartId,
    item: &Item,
    operation_key: &str,
) -> Result<Option<LoadedLine>, StoreError> {
    let row = sqlx::query!(
        r#"select c.owner_id, c.revision, c.context, c.line_count,
                  l.line as "line?", o.request_digest as "request_digest?", o.outcome as "outcome?",
                  array(select k.cut from cart_checkout k where k.cart_id = c.cart_id and k.state = 'undecided')
                      as "cuts!",
                  array(select other.line from cart_line other where other.cart_id = c.cart_id and other.offer_id <> $2)
                      as "others!"
           from cart c
           left join cart_line l on l.cart_id = c.cart_id and l.offer_id = $2
           left join cart_operation o on o.cart_id = c.cart_id and o.operation_key = $3
           where c.cart_id = $1"#,
        cart_id.as_uuid(),
        item.0.as_str(),
        operation_key,
    )
    .fetch_optional(database)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (mut other_currencies, mut other_prices) = (BTreeSet::new(), 0);
    for other in &row.others {
        let other = decode_line(other)?;
        other_currencies.extend(currencies_of_line(&other));
        other_prices += prices_of_line(&other);
    }
    let line = row.line.map(|line| decode_line(&line)).transpose()?;
    let stored = row.request_digest.zip(row.outcome);
    Ok(Some(LoadedLine {
        owner_id: CustomerId::from_uuid(row.owner_id),
        revision: row.revision,
        state: LineState {
            context: decode_context(&row.context)?,
            line: line.unwrap_or_else(LineEntries::default),
            undecided_cuts: decode_cuts(&row.cuts)?,
            line_count: usize::try_from(row.line_count).unwrap_or_default(),
            other_currencies,
            other_prices,
        },
        stored: stored.map(|(request_digest, outcome)| Stored { request_digest, outcome }),
    }))
}

/// The reply to an earlier request of this cart under `operation_key`.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn stored(
    database: impl PgExecutor<'_>,
    cart_id: CartId,
    operation_key: &str,
) -> Result<Option<Stored>, StoreError> {
    let stored = sqlx::query_as!(
        Stored,
        "select request_digest, outcome from cart_operation where cart_id = $1 and operation_key = $2",
        cart_id.as_uuid(),
        operation_key,
    );
    Ok(stored.fetch_optional(database).await?)
}

/// Writes an edit, its log entry and its reply, if cart and line are still what it was decided on and the key is new. One
/// statement, so one round trip and one commit.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn commit_edit(
    database: impl PgExecutor<'_>,
    cart_id: CartId,
    decided_on: &LoadedLine,
    item: &Item,
    edited: &EditedLine,
    operation_key: &str,
    stored: &Stored,
) -> Result<Write, StoreError> {
    let bytes_of = |line: &LineEntries| (!line.is_empty()).then(|| encode_line(line));
    sabotage::crash_point("cart.edit.before-commit").await;
    // Whoever writes a line moves the revision on, except a person with a SQL prompt: hence the look at the line's bytes too.
    let moved = sqlx::query_scalar!(
        r#"with moved as (
               update cart set context = $3, line_count = $4, revision = revision + 1
               where cart_id = $1 and revision = $2
                   and (select line from cart_line where cart_id = $1 and offer_id = $5) is not distinct from $11
               returning cart_id
           ), written as (
               insert into cart_line (cart_id, offer_id, line)
               select cart_id, $5, $6 from moved where $6::bytea is not null
               on conflict (cart_id, offer_id) do update set line = excluded.line
           ), emptied as (
               delete from cart_line using moved
               where cart_line.cart_id = moved.cart_id and offer_id = $5 and $6::bytea is null
           ), logged as (
               insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta)
               select cart_id, $7, $8, $9, $10 from moved
           )
           select count(*) as "moved!" from moved"#,
        cart_id.as_uuid(),
        decided_on.revision,
        encode_context(&edited.context),
        i32::try_from(edited.line_count).unwrap_or(i32::MAX),
        item.0.as_str(),
        bytes_of(&edited.line),
        operation_key,
        stored.request_digest,
        stored.outcome,
        encode_delta(&edited.delta),
        bytes_of(&decided_on.state.line),
    )
    .fetch_one(database)
    .await;
    sabotage::crash_point("cart.edit.after-commit").await;
    written(moved)
}

/// Keeps the reply to a request that changed nothing, so that a repeat gets it again whatever the cart has become since. It is shipped like
/// every other, with no delta.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn remember(
    database: impl PgExecutor<'_>,
    cart_id: CartId,
    operation_key: &str,
    stored: &Stored,
) -> Result<Write, StoreError> {
    sabotage::crash_point("cart.remember.before-commit").await;
    let kept = sqlx::query_scalar!(
        r#"with logged as (
               insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta)
               values ($1, $2, $3, $4, '')
               returning cart_id
           )
           select count(*) as "kept!" from logged"#,
        cart_id.as_uuid(),
        operation_key,
        stored.request_digest,
        stored.outcome,
    )
    .fetch_one(database)
    .await;
    sabotage::crash_point("cart.remember.after-commit").await;
    written(kept)
}

/// What became of a statement under the optimistic lock that counts the carts it moved. A key that is taken is a race too: lost against
/// a request with the same key, or a repeat.
pub(super) fn written(moved: Result<i64, sqlx::Error>) -> Result<Write, StoreError> {
    match moved {
        Ok(1) => Ok(Write::Done),
        Ok(_) => Ok(Write::Raced),
        Err(error) if key_is_taken(&error) => Ok(Write::Raced),
        Err(error) => Err(error.into()),
    }
}

fn key_is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.constraint() == Some("cart_operation_pkey"))
}
