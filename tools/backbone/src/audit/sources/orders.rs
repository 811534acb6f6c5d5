//! Orders, their lines and their returns, as `order` stores them.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use ids::{CartId, CustomerId, OrderId, RefundId};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Row as _};
use uuid::Uuid;

use super::unpublished::{self, Unpublished};

/// A region's orders.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    pub orders: BTreeMap<OrderId, Order>,
    pub returns: BTreeMap<RefundId, Return>,
    pub unpublished: Vec<Unpublished>,
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// Whose it is, and the key of the request that it was made for: together the intention behind it.
    pub customer: CustomerId,
    pub key: String,
    pub state: OrderState,
    pub home_region: String,
    pub cart: CartId,
    pub currency: String,
    pub total_minor: i64,
    pub line_count: i32,
    /// Whether the order service knows that the money came in.
    pub captured: bool,
    pub refunded_minor: i64,
    /// Somebody has yet to drive it on.
    pub is_driven: bool,
    /// Placed, and either due to ship or not even scheduled.
    pub is_due_to_ship: bool,
    pub lines: Vec<OrderLine>,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum OrderState {
    Pending,
    Compensating,
    Placed,
    Shipped,
    Rejected,
    Cancelled,
}

impl OrderState {
    /// Whether it was placed at some time: then it has an `order.placed.v1`.
    pub const fn was_placed(self) -> bool {
        matches!(self, Self::Placed | Self::Shipped | Self::Cancelled)
    }
}

/// A line of an order.
#[derive(Clone, Debug)]
pub struct OrderLine {
    pub offer: String,
    pub unit_price_minor: i64,
    pub quantity: i64,
    /// Pairs of unit price and units, the dearest first, where the units have several prices; otherwise empty.
    pub prices: Vec<(i64, i64)>,
    pub returned_quantity: i64,
}

impl OrderLine {
    /// What all units cost together.
    pub fn worth_minor(&self) -> i128 {
        self.worth_of_first_minor(i128::from(self.quantity))
    }

    /// What the dearest `units` cost: those come back first.
    pub fn worth_of_first_minor(&self, units: i128) -> i128 {
        let one = [(self.unit_price_minor, self.quantity)];
        let prices = if self.prices.is_empty() { &one } else { self.prices.as_slice() };
        let (mut left, mut worth) = (units, 0);
        for (price, units) in prices {
            let taken = left.clamp(0, i128::from(*units));
            worth += i128::from(*price) * taken;
            left -= taken;
        }
        worth
    }
}

/// A return; its id is the refund's.
#[derive(Clone, Debug)]
pub struct Return {
    pub order: OrderId,
    pub state: ReturnState,
    /// What the units cost.
    pub amount_minor: i64,
    /// What was paid back of it; none until that is known.
    pub paid_minor: Option<i64>,
    /// Offers and units.
    pub lines: Vec<(String, i64)>,
    /// By offer, what is paid for its units; absent for a return of before that was stored, when every unit had one price.
    pub line_amounts_minor: BTreeMap<String, i64>,
}

/// Where a return stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum ReturnState {
    Requested,
    Refunded,
}

impl FromRow<'_, PgRow> for Order {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            customer: CustomerId::from_uuid(row.try_get("customer_id")?),
            key: row.try_get("idempotency_key")?,
            state: row.try_get("state")?,
            home_region: row.try_get("home_region")?,
            cart: CartId::from_uuid(row.try_get("cart_id")?),
            currency: row.try_get("currency")?,
            total_minor: row.try_get("total_minor")?,
            line_count: row.try_get("line_count")?,
            captured: row.try_get("captured")?,
            refunded_minor: row.try_get("refunded_minor")?,
            is_driven: row.try_get("is_driven")?,
            is_due_to_ship: row.try_get("is_due_to_ship")?,
            lines: Vec::new(),
        })
    }
}

impl FromRow<'_, PgRow> for OrderLine {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            offer: row.try_get("offer_id")?,
            unit_price_minor: row.try_get("unit_price_minor")?,
            quantity: row.try_get("quantity")?,
            prices: row.try_get::<Option<Json<Vec<(i64, i64)>>>, _>("prices")?.map_or_else(Vec::new, |prices| prices.0),
            returned_quantity: row.try_get("returned_quantity")?,
        })
    }
}

impl Orders {
    /// Reads them all. No personal data is fetched.
    ///
    /// # Errors
    /// What the server said, or a state that is not known here.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut all = Self { unpublished: unpublished::read(conn).await?, ..Self::default() };
        let mut rows = sqlx::query(
            "select order_id, customer_id, idempotency_key, state, home_region, cart_id, currency, total_minor, line_count,
                    captured, refunded_minor,
                    drive_after is not null or parked_at is not null as is_driven,
                    state = 'placed' and (ship_at is null or ship_at <= now()) as is_due_to_ship
             from customer_order",
        )
        .fetch(&mut *conn);
        while let Some(row) = rows.try_next().await? {
            all.orders.insert(OrderId::from_uuid(row.try_get("order_id")?), Order::from_row(&row)?);
        }
        drop(rows);
        // The foreign keys say that every line has its order and every returned line its return.
        let mut rows = sqlx::query(
            "select order_id, offer_id, unit_price_minor, quantity, prices, returned_quantity from order_line",
        )
        .fetch(&mut *conn);
        while let Some(row) = rows.try_next().await? {
            if let Some(order) = all.orders.get_mut(&OrderId::from_uuid(row.try_get("order_id")?)) {
                order.lines.push(OrderLine::from_row(&row)?);
            }
        }
        drop(rows);
        all.returns = read_returns(conn).await?;
        Ok(all)
    }
}

async fn read_returns(conn: &mut PgConnection) -> Result<BTreeMap<RefundId, Return>, sqlx::Error> {
    let rows: Vec<(Uuid, Uuid, ReturnState, i64, Option<i64>)> =
        sqlx::query_as("select return_id, order_id, state, amount_minor, paid_minor from order_return")
            .fetch_all(&mut *conn)
            .await?;
    let mut returns: BTreeMap<_, _> = rows
        .into_iter()
        .map(|(id, order, state, amount_minor, paid_minor)| {
            let order = OrderId::from_uuid(order);
            let (lines, line_amounts_minor) = (Vec::new(), BTreeMap::new());
            let taken_back = Return { order, state, amount_minor, paid_minor, lines, line_amounts_minor };
            (RefundId::from_uuid(id), taken_back)
        })
        .collect();
    let lines: Vec<(Uuid, String, i64, Option<i64>)> =
        sqlx::query_as("select return_id, offer_id, quantity, amount_minor from order_return_line")
            .fetch_all(conn)
            .await?;
    for (id, offer, quantity, amount_minor) in lines {
        if let Some(found) = returns.get_mut(&RefundId::from_uuid(id)) {
            found.line_amounts_minor.extend(amount_minor.map(|amount| (offer.clone(), amount)));
            found.lines.push((offer, quantity));
        }
    }
    Ok(returns)
}
