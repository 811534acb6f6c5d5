//! Settling a checkout: its cut is joined when the order was placed, dropped when it was not.

use crdt::codec::{decode_context, decode_delta, decode_line, encode_context, encode_delta, encode_line};
use crdt::{Line, ReplicaId};
use ids::{CartId, OrderId};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

use super::edit::written;
use super::{StoreError, Write, twice};
use crate::domain::{CartDelta, Item, LineEntries};

/// What a placed order found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The cut is joined now.
    Consumed,
    /// It had been joined before.
    Before,
}

/// A checkout that is undecided for too long.
#[derive(Clone, Copy, Debug)]
pub struct Overdue {
    /// Its cart.
    pub cart_id: CartId,
    /// Its order.
    pub order_id: OrderId,
}

/// Joins the cut of a placed order, in the caller's transaction: three round trips, however many lines.
///
/// An abandoned checkout is joined too: the order stands, so what it took must leave the cart. (The order service abandons only
/// checkouts of orders that it then rejects, so this is a second line of defence.) What the cart shows changes then, so it takes a dot;
/// otherwise the cut's lines were hidden already, and the version stays.
///
/// # Errors
/// [`StoreError`].
pub async fn consume(
    connection: &mut PgConnection,
    order_id: OrderId,
    replica: ReplicaId,
) -> Result<Settled, StoreError> {
    let row = sqlx::query!(
        r#"select k.cart_id, k.state, k.cut, c.context
           from cart_checkout k join cart c on c.cart_id = k.cart_id
           where k.order_id = $1
           for update"#,
        order_id.as_uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?
    .ok_or(StoreError::CheckoutMissing(order_id))?;
    if row.state == "ordered" {
        return Ok(Settled::Before);
    }
    let cut: CartDelta = decode_delta(&row.cut)?;
    let mut context = decode_context(&row.context)?;
    let mut lines = lines_named(connection, row.cart_id, &cut).await?;

    // The cut, and in the same delta the entries of ours that it leaves spent: nobody else may drop them.
    let mut delta = cut.clone();
    for (item, cut_line) in &cut.lines {
        let line = lines.entry(item.clone()).or_default();
        line.join(&context, cut_line, &cut.context);
        if let Some(retired) = line.retire(replica) {
            line.join(&context, &retired.line, &retired.context);
            let mut shipped = cut_line.clone();
            shipped.join(&cut.context, &retired.line, &retired.context);
            delta.lines.insert(item.clone(), shipped);
            delta.context.join(&retired.context);
        }
    }
    context.join(&cut.context);
    if row.state == "abandoned" {
        let operation = context.next_dot(replica)?;
        context.insert(operation);
        delta.context.insert(operation);
    }
    write_settled(connection, row.cart_id, order_id, &context, &lines, &delta).await?;
    twice::record(connection, replica, &[row.cart_id]).await?;
    Ok(Settled::Consumed)
}

async fn lines_named(
    connection: &mut PgConnection,
    cart_id: Uuid,
    delta: &CartDelta,
) -> Result<BTreeMap<Item, LineEntries>, StoreError> {
    let offer_ids: Vec<String> = delta.lines.keys().map(|item| item.0.to_string()).collect();
    let rows = sqlx::query!(
        "select offer_id, line from cart_line where cart_id = $1 and offer_id = any($2)",
        cart_id,
        &offer_ids,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| Ok((Item(row.offer_id.parse()?), decode_line(&row.line)?))).collect()
}

async fn write_settled(
    connection: &mut PgConnection,
    cart_id: Uuid,
    order_id: OrderId,
    context: &crdt::CausalContext,
    lines: &BTreeMap<Item, LineEntries>,
    delta: &CartDelta,
) -> Result<(), StoreError> {
    let offer_ids = |kept: bool| -> Vec<String> {
        let chosen = lines.iter().filter(|(_, line)| line.is_empty() != kept);
        chosen.map(|(item, _)| item.0.to_string()).collect()
    };
    let kept: Vec<Vec<u8>> = lines.values().filter(|line: &&Line<_>| !line.is_empty()).map(encode_line).collect();
    sqlx::query!(
        "with emptied as (
             delete from cart_line where cart_id = $1 and offer_id = any($3) returning 1
         ), written as (
             insert into cart_line (cart_id, offer_id, line)
             select $1, kept.offer_id, kept.line from unnest($4::text[], $5::bytea[]) as kept (offer_id, line)
             on conflict (cart_id, offer_id) do update set line = excluded.line
         ), settled as (
             update cart_checkout set state = 'ordered' where order_id = $6
         ), logged as (
             insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta, order_id)
             values ($1, 'ordered:' || $6::text, '', '', $7, $6)
         )
         update cart
         set context = $2, revision = revision + 1, line_count = line_count - (select count(*) from emptied)
         where cart_id = $1",
        cart_id,
        encode_context(context),
        &offer_ids(false),
        &offer_ids(true),
        &kept,
        order_id.as_uuid(),
        encode_delta(delta),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Drops the cut of an order that was not placed; its lines are visible again. Harmless when repeated, or when there is none.
///
/// It takes a dot: the cart shows something else from now on, and a version names what is shown. So an order with a version from before
/// is refused as stale, here and in the other region. The revision moves on too, so that an edit decided while the cut hid the lines
/// is decided anew.
///
/// # Errors
/// [`StoreError`].
pub async fn abandon(
    pool: &PgPool,
    cart_id: CartId,
    order_id: OrderId,
    replica: ReplicaId,
) -> Result<Write, StoreError> {
    let row = sqlx::query!(
        "select c.revision, c.context
         from cart_checkout k join cart c on c.cart_id = k.cart_id
         where k.order_id = $2 and k.cart_id = $1 and k.state = 'undecided'",
        cart_id.as_uuid(),
        order_id.as_uuid(),
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(Write::Done) };
    let mut context = decode_context(&row.context)?;
    let operation = context.next_dot(replica)?;
    context.insert(operation);
    sabotage::crash_point("cart.abandon.before-commit").await;
    // Whoever settles a checkout of this region moves its cart's revision on, so at this revision it is still undecided.
    let moved = sqlx::query_scalar!(
        r#"with moved as (
               update cart set context = $4, revision = revision + 1
               where cart_id = $1 and revision = $3
               returning cart_id
           ), dropped as (
               update cart_checkout set state = 'abandoned'
               from moved
               where order_id = $2 and state = 'undecided'
           ), logged as (
               insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta, order_id)
               select cart_id, 'abandoned:' || $2::text, '', '', $5, $2 from moved
           )
           select count(*) as "moved!" from moved"#,
        cart_id.as_uuid(),
        order_id.as_uuid(),
        row.revision,
        encode_context(&context),
        encode_delta(&CartDelta::tick(operation)),
    )
    .fetch_one(pool)
    .await;
    sabotage::crash_point("cart.abandon.after-commit").await;
    written(moved)
}

/// Takes at most `limit` checkouts that were begun before `begun_before`, are still undecided and are to be looked at, those that wait
/// longest first. Each is to be looked at again after a quarter of its age, an hour at most: however many stay undecided, the others get
/// their turn, and of two processes only one asks.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn take_overdue(
    database: impl PgExecutor<'_>,
    begun_longer_than: Duration,
    limit: i64,
) -> Result<Vec<Overdue>, StoreError> {
    // no crash point: what was taken and not asked about is taken again.
    let rows = sqlx::query!(
        "update cart_checkout
         set next_look_at = now() + least(greatest((now() - begun_at) / 4, interval '30 s'), interval '1 hour')
         where order_id in (
             select order_id from cart_checkout
             where state = 'undecided' and cart_is_own(origin) and begun_at < now() - make_interval(secs => $1) and next_look_at <= now()
             order by next_look_at
             limit $2
             for no key update skip locked
         )
         returning cart_id, order_id",
        begun_longer_than.as_secs_f64(),
        limit,
    )
    .fetch_all(database)
    .await?;
    let ids = |row: (Uuid, Uuid)| Overdue { cart_id: CartId::from_uuid(row.0), order_id: OrderId::from_uuid(row.1) };
    Ok(rows.into_iter().map(|row| ids((row.cart_id, row.order_id))).collect())
}
