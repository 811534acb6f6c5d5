//! Carts and checkouts, as `cart` stores them: still encoded, for it is the check's business whether they decode.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::cart::v1::BeginCheckoutResponse;
use crdt::{Dot, ReplicaId};
use futures::TryStreamExt as _;
use ids::{CartId, CustomerId, OrderId, Region};
use prost::Message as _;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::unpublished::{self, Unpublished};

/// How long the checkout of an order that was never stored may stay undecided: cart asks for its fate after five minutes, looking
/// every half minute.
const UNDECIDED_MAX: Duration = Duration::from_secs(6 * 60);

/// A region's carts.
#[derive(Clone, Debug, Default)]
pub struct Carts {
    pub carts: BTreeMap<CartId, StoredCart>,
    /// Lines of carts that are not there.
    pub stray_lines: BTreeSet<(CartId, String)>,
    pub checkouts: BTreeMap<OrderId, Checkout>,
    pub twice: BTreeMap<Twice, i64>,
    /// What this region did to carts, as far as its log is not trimmed.
    pub log: BTreeMap<CartId, Vec<Logged>>,
    /// Values that did not decode and that a person mended in this region.
    pub mends: Vec<Mend>,
    /// Operations of this region that the other has not acknowledged.
    pub unacknowledged: i64,
    pub unpublished: Vec<Unpublished>,
}

/// A cart's rows.
#[derive(Clone, Debug)]
pub struct StoredCart {
    pub owner: CustomerId,
    pub context: Vec<u8>,
    /// The encoded delivery address.
    pub address: Vec<u8>,
    pub line_count: i32,
    /// Offers and their encoded lines.
    pub lines: BTreeMap<String, Vec<u8>>,
}

/// A value of a cart that a person mended: see `backbone cart mend`.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Mend {
    pub cart_id: Uuid,
    /// `context`, `address`, `line <offer>` or `cut <order>`.
    pub value: String,
    /// `joined`, or `lost`: neither region could read it.
    pub outcome: String,
    pub at: DateTime<Utc>,
    pub by: String,
    pub reason: String,
}

impl Mend {
    /// Whether nothing of it could be read any more.
    pub fn is_loss(&self) -> bool {
        self.outcome == "lost"
    }
}

/// The mendings of a cart, or of all, in their order.
///
/// # Errors
/// What the server said.
pub async fn mends(conn: &mut PgConnection, cart: Option<CartId>) -> Result<Vec<Mend>, sqlx::Error> {
    sqlx::query_as(
        r#"select cart_id, value, outcome, mended_at as at, mended_by as "by", reason from cart_mend
           where $1::uuid is null or cart_id = $1 order by mended_at, value"#,
    )
    .bind(cart.map(CartId::as_uuid))
    .fetch_all(conn)
    .await
}

/// An operation of this region that changed a cart.
#[derive(Clone, Debug)]
pub struct Logged {
    /// Says what it was: `client:`, `checkout:`, `ordered:`, `abandoned:`, `retired:` or `mended:`, and which.
    pub key: String,
    /// The number under which this region did it.
    pub replica: ReplicaId,
    pub delta: Vec<u8>,
}

/// What the units are of that two orders took both: the cart, the offer, and the orders, the smaller id first.
pub type Twice = (CartId, String, OrderId, OrderId);

type CartColumns = (Uuid, Uuid, Vec<u8>, Vec<u8>, i32);

/// A checkout.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub cart: CartId,
    pub state: CheckoutState,
    /// In this region, which will settle it; else it is a replica of the other's.
    pub begun_here: bool,
    /// Empty where it was begun elsewhere and settled when it arrived.
    pub cut: Vec<u8>,
    /// Its own dot.
    pub operation: Dot,
    /// The encoded version that its shopper had seen; empty in a row of before that was kept.
    pub seen: Vec<u8>,
    /// Begun longer ago than any checkout may stay undecided.
    pub is_overdue: bool,
    /// Units by offer, as they were cut.
    pub ordered: BTreeMap<String, i64>,
    /// What the order service was told, if this region began it and its log still holds the answer. `Err` if the answer means nothing.
    pub shown: Option<Result<Vec<Shown>, String>>,
}

/// A line as it was shown when the checkout began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub offer: String,
    pub quantity: i64,
    /// What its units cost together.
    pub amount_minor: i128,
    pub currency: String,
}

type CheckoutColumns =
    (Uuid, Uuid, CheckoutState, bool, Vec<u8>, i16, i64, Vec<u8>, bool, Json<BTreeMap<String, i64>>, Option<Vec<u8>>);

/// Where a checkout stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum CheckoutState {
    Undecided,
    Ordered,
    Abandoned,
}

impl Carts {
    /// Reads them all, in the database of `region`.
    ///
    /// # Errors
    /// What the server said, or a state that is not known here.
    pub async fn read(conn: &mut PgConnection, region: Region) -> Result<Self, sqlx::Error> {
        let unpublished = unpublished::read(conn).await?;
        let unacknowledged = unacknowledged(conn, region).await?;
        let rows = sqlx::query_as("select cart_id, owner_id, context, address, line_count from cart");
        let rows: Vec<CartColumns> = rows.fetch_all(&mut *conn).await?;
        let cart = |(id, owner, context, address, line_count): CartColumns| {
            let owner = CustomerId::from_uuid(owner);
            (CartId::from_uuid(id), StoredCart { owner, context, address, line_count, lines: BTreeMap::new() })
        };
        let mut carts: BTreeMap<_, _> = rows.into_iter().map(cart).collect();
        // No foreign key says that every line has its cart.
        let mut stray_lines = BTreeSet::new();
        let mut rows = sqlx::query_as::<_, (Uuid, String, Vec<u8>)>("select cart_id, offer_id, line from cart_line")
            .fetch(&mut *conn);
        while let Some((id, offer, line)) = rows.try_next().await? {
            let id = CartId::from_uuid(id);
            match carts.get_mut(&id) {
                Some(cart) => drop(cart.lines.insert(offer, line)),
                None => drop(stray_lines.insert((id, offer))),
            }
        }
        drop(rows);
        let checkouts = checkouts(&mut *conn, region).await?;
        let log = log(&mut *conn, region).await?;
        let mends = mends(&mut *conn, None).await?;
        let twice = twice(conn).await?;
        Ok(Self { carts, stray_lines, checkouts, twice, log, mends, unacknowledged, unpublished })
    }
}

/// Replicas are numbered below 256.
fn replica(number: i16) -> Result<ReplicaId, sqlx::Error> {
    u8::try_from(number).map(ReplicaId).map_err(|error| sqlx::Error::Decode(error.into()))
}

async fn log(conn: &mut PgConnection, region: Region) -> Result<BTreeMap<CartId, Vec<Logged>>, sqlx::Error> {
    let mut log: BTreeMap<_, Vec<Logged>> = BTreeMap::new();
    let mut rows = sqlx::query_as::<_, (Uuid, String, i16, Vec<u8>)>(
        "select cart_id, operation_key, coalesce(origin, (select replica from cart_log), $1), delta
         from cart_operation where delta <> '' and cart_is_own(origin)",
    )
    .bind(i16::from(region.replica()))
    .fetch(conn);
    while let Some((cart, key, number, delta)) = rows.try_next().await? {
        let logged = Logged { key, replica: replica(number)?, delta };
        log.entry(CartId::from_uuid(cart)).or_default().push(logged);
    }
    Ok(log)
}

async fn checkouts(conn: &mut PgConnection, region: Region) -> Result<BTreeMap<OrderId, Checkout>, sqlx::Error> {
    let mut checkouts = BTreeMap::new();
    let mut rows = sqlx::query_as::<_, CheckoutColumns>(
        "select k.order_id, k.cart_id, k.state, cart_is_own(k.origin), k.cut,
                coalesce(k.origin, (select replica from cart_log), $2), k.operation, k.seen,
                k.begun_at < now() - make_interval(secs => $1), k.ordered, o.outcome
         from cart_checkout k
         left join cart_operation o
             on o.cart_id = k.cart_id and o.order_id = k.order_id and o.operation_key like 'checkout:%'
                 and cart_is_own(o.origin)",
    )
    .bind(UNDECIDED_MAX.as_secs_f64())
    .bind(i16::from(region.replica()))
    .fetch(conn);
    while let Some((order, cart, state, begun_here, cut, origin, counter, seen, is_overdue, Json(ordered), outcome)) =
        rows.try_next().await?
    {
        let (cart, shown) = (CartId::from_uuid(cart), outcome.map(|outcome| shown(&outcome)));
        let operation = Dot::new(replica(origin)?, u64::try_from(counter).unwrap_or_default());
        let checkout = Checkout { cart, state, begun_here, cut, operation, seen, is_overdue, ordered, shown };
        checkouts.insert(OrderId::from_uuid(order), checkout);
    }
    Ok(checkouts)
}

/// The lines of a stored answer.
fn shown(outcome: &[u8]) -> Result<Vec<Shown>, String> {
    let answer = BeginCheckoutResponse::decode(outcome).map_err(|error| error.to_string())?;
    let line = |line: contracts::cart::v1::CartLine| {
        let unpriced = || format!("{} has no price", line.offer_id);
        let unit_price = line.unit_price.clone().ok_or_else(unpriced)?;
        // An answer of before units had prices of their own has one price for all of them.
        let prices = match line.prices.as_slice() {
            [] => vec![(unit_price.minor_units, line.quantity)],
            prices => prices
                .iter()
                .map(|part| Ok((part.unit_price.as_ref().ok_or_else(unpriced)?.minor_units, part.quantity)))
                .collect::<Result<_, String>>()?,
        };
        let amount_minor = prices.into_iter().map(|(price, units)| i128::from(price) * i128::from(units)).sum();
        Ok(Shown { offer: line.offer_id, quantity: line.quantity, amount_minor, currency: unit_price.currency_code })
    };
    answer.lines.into_iter().map(line).collect()
}

async fn twice(conn: &mut PgConnection) -> Result<BTreeMap<Twice, i64>, sqlx::Error> {
    let rows: Vec<(Uuid, String, Uuid, Uuid, i64)> =
        sqlx::query_as("select cart_id, offer_id, first_order_id, second_order_id, quantity from cart_ordered_twice")
            .fetch_all(conn)
            .await?;
    let row = |(cart, offer, first, second, quantity)| {
        ((CartId::from_uuid(cart), offer, OrderId::from_uuid(first), OrderId::from_uuid(second)), quantity)
    };
    Ok(rows.into_iter().map(row).collect())
}

/// Operations of `region`, whose database this is, that the other region has not acknowledged: on their way, or stuck.
///
/// # Errors
/// What the server said.
pub async fn unacknowledged(conn: &mut PgConnection, region: Region) -> Result<i64, sqlx::Error> {
    // A row of `cart_replica` is there from the first acknowledgement on.
    sqlx::query_scalar(
        "select count(*) from cart_operation
         where origin is null and (transaction_id, position) > (
             (select coalesce(max(acked_transaction), 0)::text::xid8 from cart_replica
              where replica = (select coalesce(max(replica), $1) from cart_replica where replica % 2 = $1 % 2)),
             (select coalesce(max(acked_sequence), 0) from cart_replica
              where replica = (select coalesce(max(replica), $1) from cart_replica where replica % 2 = $1 % 2))
         )",
    )
    .bind(i16::from(region.peer().replica()))
    .fetch_one(conn)
    .await
}
