//! Carts and checkouts, as `cart` stores them: still encoded, for it is the check's business whether they decode.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::TryStreamExt as _;
use ids::{CartId, CustomerId, OrderId, Region};
use sqlx::PgConnection;
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
    /// Begun longer ago than any checkout may stay undecided.
    pub is_overdue: bool,
}

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
        let rows: Vec<(Uuid, Uuid, CheckoutState, bool, Vec<u8>, bool)> = sqlx::query_as(
            "select order_id, cart_id, state, cart_is_own(origin), cut, begun_at < now() - make_interval(secs => $1)
             from cart_checkout",
        )
        .bind(UNDECIDED_MAX.as_secs_f64())
        .fetch_all(conn)
        .await?;
        let checkout = |(order, cart, state, begun_here, cut, is_overdue)| {
            let cart = CartId::from_uuid(cart);
            (OrderId::from_uuid(order), Checkout { cart, state, begun_here, cut, is_overdue })
        };
        let checkouts = rows.into_iter().map(checkout).collect();
        Ok(Self { carts, stray_lines, checkouts, unacknowledged, unpublished })
    }
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
