//! Many carts at once: one statement to lock and read them, one to write them.

use std::collections::{BTreeMap, BTreeSet};

use crdt::codec::{decode_address, decode_context, decode_line, encode_address, encode_context, encode_line};
use crdt::{CausalContext, MvRegister};
use ids::CartId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::StoreError;
use crate::domain::{Address, Item, LineEntries};

/// A cart under its lock, with some of its lines.
#[derive(Clone, Debug)]
pub(super) struct LockedCart {
    pub(super) context: CausalContext,
    pub(super) address: MvRegister<Address>,
    pub(super) line_count: usize,
    /// Those that were asked for and are there.
    pub(super) lines: BTreeMap<Item, LineEntries>,
}

/// Carts under their locks. One with a value that cannot be read is not among them: nothing is joined into it and nothing of it is written,
/// and the others go on.
#[derive(Clone, Debug, Default)]
pub(super) struct LockedCarts {
    pub(super) carts: BTreeMap<CartId, LockedCart>,
    /// Those that cannot be read, with the reason.
    pub(super) unreadable: BTreeMap<CartId, String>,
}

/// Locks the carts that are there, without lines. In the order of their ids, so that two who lock several do not wait for each other.
pub(super) async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> Result<LockedCarts, StoreError> {
    let rows = sqlx::query!(
        "select cart_id, context, address, line_count from cart where cart_id = any($1) order by cart_id for update",
        ids,
    )
    .fetch_all(connection)
    .await?;
    let mut locked = LockedCarts::default();
    for row in rows {
        let cart = || -> Result<LockedCart, StoreError> {
            Ok(LockedCart {
                context: decode_context(&row.context)?,
                address: decode_address(&row.address)?,
                line_count: usize::try_from(row.line_count).unwrap_or_default(),
                lines: BTreeMap::new(),
            })
        };
        locked.put(CartId::from_uuid(row.cart_id), cart());
    }
    Ok(locked)
}

/// Whether nothing was joined because another transaction held a row for longer than this one waits.
pub fn is_held(error: &StoreError) -> bool {
    let StoreError::Database(sqlx::Error::Database(error)) = error else { return false };
    // lock_not_available
    error.code().is_some_and(|code| code == "55P03")
}

/// Whether nobody holds any of these carts, nor a line or checkout of theirs.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn are_free(pool: &PgPool, ids: &[Uuid]) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar!(
        r#"with free_carts as (
               select cart_id from cart where cart_id = any($1) for no key update skip locked
           ), free_lines as (
               select 1 from cart_line where cart_id = any($1) for no key update skip locked
           ), free_checkouts as (
               select 1 from cart_checkout where cart_id = any($1) for no key update skip locked
           )
           select (select count(*) from free_carts) < (select count(*) from cart where cart_id = any($1))
               or (select count(*) from free_lines) < (select count(*) from cart_line where cart_id = any($1))
               or (select count(*) from free_checkouts) < (select count(*) from cart_checkout where cart_id = any($1))
               as "held!""#,
        ids,
    )
    .fetch_one(pool)
    .await?;
    Ok(!held)
}

impl LockedCarts {
    fn put(&mut self, cart_id: CartId, cart: Result<LockedCart, StoreError>) {
        match cart {
            Ok(cart) => drop(self.carts.insert(cart_id, cart)),
            Err(error) => self.set_aside(cart_id, &error),
        }
    }

    fn set_aside(&mut self, cart_id: CartId, error: &StoreError) {
        self.carts.remove(&cart_id);
        self.unreadable.insert(cart_id, unreadable(error));
    }
}

/// What is wrong with a stored value, with its cause.
pub(super) fn unreadable(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Adds all lines of the locked carts.
pub(super) async fn read_all(connection: &mut PgConnection, carts: &mut LockedCarts) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = carts.carts.keys().map(|cart_id| cart_id.as_uuid()).collect();
    let rows = sqlx::query_as!(LineRow, "select cart_id, offer_id, line from cart_line where cart_id = any($1)", &ids,)
        .fetch_all(connection)
        .await?;
    add(carts, rows);
    Ok(())
}

/// Adds the named lines of the locked carts, as far as they are there. Each is one look into the primary key, however long its cart is.
pub(super) async fn read_named(
    connection: &mut PgConnection,
    carts: &mut LockedCarts,
    named: &BTreeSet<(CartId, Item)>,
) -> Result<(), StoreError> {
    let (ids, offers): (Vec<Uuid>, Vec<String>) =
        named.iter().map(|(cart_id, item)| (cart_id.as_uuid(), item.0.to_string())).unzip();
    let rows = sqlx::query_as!(
        LineRow,
        "select l.cart_id, l.offer_id, l.line
         from unnest($1::uuid[], $2::text[]) as named (cart_id, offer_id)
         join cart_line l on l.cart_id = named.cart_id and l.offer_id = named.offer_id",
        &ids,
        &offers,
    )
    .fetch_all(connection)
    .await?;
    add(carts, rows);
    Ok(())
}

struct LineRow {
    cart_id: Uuid,
    offer_id: String,
    line: Vec<u8>,
}

fn add(carts: &mut LockedCarts, rows: Vec<LineRow>) {
    for row in rows {
        let cart_id = CartId::from_uuid(row.cart_id);
        let Some(cart) = carts.carts.get_mut(&cart_id) else { continue };
        let line = || -> Result<(Item, LineEntries), StoreError> {
            Ok((Item(row.offer_id.parse()?), decode_line(&row.line)?))
        };
        match line() {
            Ok((item, line)) => drop(cart.lines.insert(item, line)),
            Err(error) => carts.set_aside(cart_id, &error),
        }
    }
}

/// Writes the carts back: contexts, addresses, and the lines they hold, of which empty ones are deleted. Their revisions move on, so that
/// whoever decided something on what they were decides anew.
pub(super) async fn write(connection: &mut PgConnection, carts: &LockedCarts) -> Result<(), StoreError> {
    let (mut ids, mut contexts, mut addresses, mut counts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut kept, mut kept_offers, mut kept_lines) = (Vec::new(), Vec::new(), Vec::new());
    let (mut emptied, mut emptied_offers) = (Vec::new(), Vec::new());
    for (cart_id, cart) in &carts.carts {
        ids.push(cart_id.as_uuid());
        contexts.push(encode_context(&cart.context));
        addresses.push(encode_address(&cart.address));
        counts.push(i32::try_from(cart.line_count).unwrap_or(i32::MAX));
        for (item, line) in &cart.lines {
            if line.is_empty() {
                emptied.push(cart_id.as_uuid());
                emptied_offers.push(item.0.to_string());
            } else {
                kept.push(cart_id.as_uuid());
                kept_offers.push(item.0.to_string());
                kept_lines.push(encode_line(line));
            }
        }
    }
    sqlx::query!(
        "with written as (
             insert into cart_line (cart_id, offer_id, line)
             select * from unnest($5::uuid[], $6::text[], $7::bytea[])
             on conflict (cart_id, offer_id) do update set line = excluded.line
         ), emptied as (
             delete from cart_line using unnest($8::uuid[], $9::text[]) as gone (cart_id, offer_id)
             where cart_line.cart_id = gone.cart_id and cart_line.offer_id = gone.offer_id
         )
         update cart
         set context = moved.context, address = moved.address, line_count = moved.line_count, revision = revision + 1
         from unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::integer[]) as moved (cart_id, context, address, line_count)
         where cart.cart_id = moved.cart_id",
        &ids,
        &contexts,
        &addresses,
        &counts,
        &kept,
        &kept_offers,
        &kept_lines,
        &emptied,
        &emptied_offers,
    )
    .execute(connection)
    .await?;
    Ok(())
}
