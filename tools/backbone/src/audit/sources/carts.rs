//! Carts and checkouts, as `cart` stores them: still encoded, for it is the check's business whether they decode.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::TryStreamExt as _;
use ids::{CartId, OrderId};
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
    pub checkouts: BTreeMap<OrderId, Checkout>,
    pub unpublished: Vec<Unpublished>,
}

/// A cart's rows.
#[derive(Clone, Debug)]
pub struct StoredCart {
    pub context: Vec<u8>,
    pub line_count: i32,
    /// Offers and their encoded lines.
    pub lines: Vec<(String, Vec<u8>)>,
}

/// A checkout.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub cart: CartId,
    pub state: CheckoutState,
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
    /// Reads them all.
    ///
    /// # Errors
    /// What the server said, or a state that is not known here.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let unpublished = unpublished::read(conn).await?;
        let rows: Vec<(Uuid, Vec<u8>, i32)> =
            sqlx::query_as("select cart_id, context, line_count from cart").fetch_all(&mut *conn).await?;
        let cart =
            |(id, context, line_count)| (CartId::from_uuid(id), StoredCart { context, line_count, lines: Vec::new() });
        let mut carts: BTreeMap<_, _> = rows.into_iter().map(cart).collect();
        // A foreign key says that every line has its cart.
        let mut rows = sqlx::query_as::<_, (Uuid, String, Vec<u8>)>("select cart_id, offer_id, line from cart_line")
            .fetch(&mut *conn);
        while let Some((id, offer, line)) = rows.try_next().await? {
            if let Some(cart) = carts.get_mut(&CartId::from_uuid(id)) {
                cart.lines.push((offer, line));
            }
        }
        drop(rows);
        let rows: Vec<(Uuid, Uuid, CheckoutState, Vec<u8>, bool)> = sqlx::query_as(
            "select order_id, cart_id, state, cut, begun_at < now() - make_interval(secs => $1) from cart_checkout",
        )
        .bind(UNDECIDED_MAX.as_secs_f64())
        .fetch_all(conn)
        .await?;
        let checkout = |(order, cart, state, cut, is_overdue)| {
            (OrderId::from_uuid(order), Checkout { cart: CartId::from_uuid(cart), state, cut, is_overdue })
        };
        Ok(Self { carts, checkouts: rows.into_iter().map(checkout).collect(), unpublished })
    }
}
