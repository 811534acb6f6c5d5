//! Mending a stored cart of which a value does not decode. [`crate::domain::mend`] decides what the cart comes to; here its rows are
//! read as far as they can be, and written.
//!
//! No service does this: `backbone cart mend` does, for a person who has looked at it. Where such a cart is met the log names that command.

use std::collections::BTreeMap;

use crdt::codec::{
    decode_address, decode_context, decode_delta, decode_line, encode_address, encode_context, encode_delta,
    encode_line,
};
use crdt::{CausalContext, Dot, ReplicaId};
use ids::{CartId, OrderId};
use sqlx::{PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::StoreError;
use super::replica::{Ordered, unsigned};
use crate::domain::{CannotMend, CartDelta, Item, Kept, Mended, mend};

/// A value of a cart, by the name under which its mending is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// The causal context.
    Context,
    /// The delivery address.
    Address,
    /// The line of an offer, which may not be one.
    Line(String),
    /// The cut of a checkout.
    Cut(OrderId),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Context => f.write_str("context"),
            Self::Address => f.write_str("address"),
            Self::Line(offer_id) => write!(f, "line {offer_id}"),
            Self::Cut(order_id) => write!(f, "cut {order_id}"),
        }
    }
}

/// A checkout of the cart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOf {
    /// Its order.
    pub order_id: OrderId,
    /// What became of it.
    pub state: String,
    /// Units by offer, as they were cut.
    pub ordered: BTreeMap<String, u64>,
    /// What it takes; `None` when it does not decode or is not kept here.
    cut: Option<Vec<u8>>,
}

/// What a region stores of a cart, as far as it decodes.
#[derive(Clone, Debug)]
pub struct StoredCart {
    /// The number of the region's log.
    pub replica: ReplicaId,
    /// What does not decode, and why.
    pub faults: BTreeMap<Value, String>,
    /// Its checkouts, the oldest first.
    pub checkouts: Vec<CutOf>,
    kept: Kept,
    /// The bytes of what does not decode, but of an address.
    bytes: BTreeMap<Value, Vec<u8>>,
}

/// How a value comes to be whole again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// From what the other region has of it and what the logs hold.
    Joined,
    /// Not at all: neither region can read it.
    Lost,
}

impl Outcome {
    /// Its name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Lost => "lost",
        }
    }
}

/// How a cart is mended.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What becomes of each value that does not decode.
    pub outcomes: BTreeMap<Value, Outcome>,
    /// What the cart comes to.
    pub mended: Mended,
    cuts: Vec<(OrderId, Vec<u8>)>,
}

/// Why a cart is not mended. Nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum NotMended {
    /// It cannot be made whole.
    #[error(transparent)]
    Cannot(#[from] CannotMend),
    /// What an order will take cannot be told, and guessing would take from its shopper what nobody ordered, or leave what somebody did.
    #[error(
        "the cut of order {0}, which is undecided, decodes in neither region: `backbone order compensate` it, then mend the cart"
    )]
    CutLost(OrderId),
}

/// Who mends, and why.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The mending.
    pub mend_id: Uuid,
    /// Who.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// Reads a cart as far as it decodes, under its lock; `None` when it is not there. The caller's transaction ends the lock.
///
/// # Errors
/// [`StoreError`]: also when no service has claimed the database yet, which then has no number to issue dots under.
pub async fn read(connection: &mut PgConnection, cart_id: CartId) -> Result<Option<StoredCart>, StoreError> {
    let row = sqlx::query!(
        r#"select context, address, (select replica from cart_log) as "replica?" from cart where cart_id = $1 for update"#,
        cart_id.as_uuid(),
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let number = row.replica.and_then(|number| u8::try_from(number).ok());
    let replica =
        number.map(ReplicaId).ok_or_else(|| StoreError::CorruptState("replica without a number".to_owned()))?;
    let mut cart = StoredCart {
        replica,
        faults: BTreeMap::new(),
        checkouts: Vec::new(),
        kept: Kept::default(),
        bytes: BTreeMap::new(),
    };
    cart.kept.context = cart.take(Value::Context, &row.context, decode_context(&row.context));
    cart.kept.address = cart.take(Value::Address, &[], decode_address(&row.address));
    cart.lines(&mut *connection, cart_id).await?;
    cart.checkouts(&mut *connection, cart_id).await?;
    cart.log(&mut *connection, cart_id).await?;
    Ok(Some(cart))
}

impl StoredCart {
    /// The value, or `None` and a note of why it is not one.
    fn take<T>(&mut self, value: Value, bytes: &[u8], decoded: Result<T, impl std::fmt::Display>) -> Option<T> {
        match decoded {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                self.faults.insert(value.clone(), error.to_string());
                self.bytes.insert(value, bytes.to_vec());
                None
            }
        }
    }

    async fn lines(&mut self, connection: &mut PgConnection, cart_id: CartId) -> Result<(), StoreError> {
        let rows = sqlx::query!("select offer_id, line from cart_line where cart_id = $1", cart_id.as_uuid())
            .fetch_all(connection)
            .await?;
        for row in rows {
            let value = Value::Line(row.offer_id.clone());
            // One under no offer's id is nothing that the other region could have.
            let Some(offer_id) = self.take(value.clone(), &row.line, row.offer_id.parse()) else { continue };
            let line = self.take(value, &row.line, decode_line(&row.line));
            self.kept.lines.insert(Item(offer_id), line);
        }
        Ok(())
    }

    async fn checkouts(&mut self, connection: &mut PgConnection, cart_id: CartId) -> Result<(), StoreError> {
        let rows = sqlx::query!(
            r#"select order_id, state, cut, seen, operation, coalesce(origin, $2) as "origin!", ordered as "ordered: Ordered"
               from cart_checkout where cart_id = $1 order by order_id"#,
            cart_id.as_uuid(),
            i16::from(self.replica.0),
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            let order_id = OrderId::from_uuid(row.order_id);
            let mut cut = None;
            // That of an abandoned one is never looked at again.
            if !row.cut.is_empty()
                && row.state != "abandoned"
                && let Some(decoded) = self.take::<CartDelta>(Value::Cut(order_id), &row.cut, decode_delta(&row.cut))
            {
                // The dots that it names were seen when it was cut.
                self.kept.seen.join(&decoded.context);
                cut = Some(row.cut);
            }
            if let Ok(seen) = decode_context(&row.seen) {
                self.kept.seen.join(&seen);
            }
            let origin = ReplicaId(u8::try_from(row.origin).unwrap_or_default());
            if row.operation > 0 {
                self.kept.seen.insert(Dot::new(origin, unsigned(row.operation)));
            }
            self.checkouts.push(CutOf { order_id, state: row.state, ordered: row.ordered.0, cut });
        }
        Ok(())
    }

    /// One that does not decode tells nothing: what it did is in the rows.
    async fn log(&mut self, connection: &mut PgConnection, cart_id: CartId) -> Result<(), StoreError> {
        let deltas = sqlx::query_scalar!(
            "select delta from cart_operation
             where cart_id = $1 and cart_is_own(origin) and delta <> '' order by transaction_id, position",
            cart_id.as_uuid(),
        )
        .fetch_all(connection)
        .await?;
        self.kept.done = deltas.iter().filter_map(|delta| decode_delta(delta).ok()).collect();
        Ok(())
    }

    fn checkout(&self, order_id: OrderId) -> Option<&CutOf> {
        self.checkouts.iter().find(|checkout| checkout.order_id == order_id)
    }

    /// Units of an offer that the log tells of, at least: what was added since it was trimmed and not taken since.
    pub fn logged_units(&self, offer_id: &str) -> u64 {
        let Ok(item) = offer_id.parse().map(Item) else { return 0 };
        let (mut line, mut context) = (crate::domain::LineEntries::default(), CausalContext::new());
        for delta in &self.kept.done {
            if let Some(changed) = delta.lines.get(&item) {
                line.join(&context, changed, &delta.context);
            }
            context.join(&delta.context);
        }
        line.quantity()
    }
}

/// How `ours` is mended, with what the other region has of the cart.
///
/// # Errors
/// [`NotMended`].
pub fn plan(ours: &StoredCart, theirs: Option<&StoredCart>) -> Result<Plan, NotMended> {
    let nothing = Kept::default();
    let mended = mend(&ours.kept, theirs.map_or(&nothing, |theirs| &theirs.kept), ours.replica)?;
    let (mut outcomes, mut cuts) = (BTreeMap::new(), Vec::new());
    for value in ours.faults.keys() {
        let is_lost = match value {
            Value::Context => false,
            Value::Address => mended.address_is_lost,
            Value::Line(offer_id) => match offer_id.parse().map(Item) {
                Ok(item) => mended.lost.contains(&item),
                Err(_) => true,
            },
            Value::Cut(order_id) => {
                let cut = theirs.and_then(|theirs| theirs.checkout(*order_id)?.cut.clone());
                let is_undecided = ours.checkout(*order_id).is_some_and(|checkout| checkout.state == "undecided");
                if cut.is_none() && is_undecided {
                    return Err(NotMended::CutLost(*order_id));
                }
                let is_lost = cut.is_none();
                // What a placed order took is joined already; without its cut only what was ordered twice is not known any more.
                cuts.push((*order_id, cut.unwrap_or_default()));
                is_lost
            }
        };
        outcomes.insert(value.clone(), if is_lost { Outcome::Lost } else { Outcome::Joined });
    }
    Ok(Plan { outcomes, mended, cuts })
}

/// Mends the cart, under the lock under which [`read`] read `ours`, in the same transaction; and keeps who did it and why.
///
/// # Errors
/// [`StoreError::Database`]: roll back.
pub async fn write(
    transaction: &mut Transaction<'_, Postgres>,
    cart_id: CartId,
    ours: &StoredCart,
    plan: &Plan,
    record: Record<'_>,
) -> Result<(), StoreError> {
    let state = &plan.mended.state;
    let (offer_ids, lines): (Vec<String>, Vec<Vec<u8>>) =
        state.lines().map(|(item, line)| (item.0.to_string(), encode_line(line))).unzip();
    // The operation is shipped as a tick. What else the other region lacks comes by comparing carts, state and context together: shipped
    // apart, a context would say of entries that are still on their way that they were removed.
    sqlx::query!(
        "with gone as (
             delete from cart_line where cart_id = $1 and offer_id <> all($4)
         ), written as (
             insert into cart_line (cart_id, offer_id, line)
             select $1, kept.offer_id, kept.line from unnest($4::text[], $5::bytea[]) as kept (offer_id, line)
             on conflict (cart_id, offer_id) do update set line = excluded.line
         ), logged as (
             insert into cart_operation (cart_id, operation_key, request_digest, outcome, delta)
             values ($1, 'mended:' || $6::uuid::text, '', '', $7)
         )
         update cart
         set context = $2, address = $3, line_count = cardinality($4::text[]), revision = revision + 1
         where cart_id = $1",
        cart_id.as_uuid(),
        encode_context(state.context()),
        encode_address(state.address()),
        &offer_ids,
        &lines,
        record.mend_id,
        encode_delta(&CartDelta::tick(plan.mended.operation)),
    )
    .execute(&mut **transaction)
    .await?;
    for (order_id, cut) in &plan.cuts {
        sqlx::query!("update cart_checkout set cut = $2 where order_id = $1", order_id.as_uuid(), cut)
            .execute(&mut **transaction)
            .await?;
    }
    for (value, outcome) in &plan.outcomes {
        sqlx::query!(
            "insert into cart_mend (mend_id, cart_id, value, fault, outcome, bytes, mended_by, reason)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            record.mend_id,
            cart_id.as_uuid(),
            value.to_string(),
            ours.faults.get(value).map_or("", String::as_str),
            outcome.name(),
            ours.bytes.get(value).filter(|_| *value != Value::Address),
            record.by,
            record.reason,
        )
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}
