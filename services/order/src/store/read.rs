//! Reading orders with their lines: two statements for one order or for a page of them, never one per order.

use std::collections::HashMap;

use ids::{CustomerId, OrderId};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::row::{LineRow, OrderRow, StoredPrices, parse_state};
use super::{Store, StoreError};
use crate::domain::{Order, OrderState, orders_that_fit};

impl Store {
    /// The order, whoever's it is. `None` when there is none.
    pub async fn order(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let mut conn = self.pool.acquire().await?;
        load(&mut conn, &[id.as_uuid()]).await?.remove(&id.as_uuid()).transpose()
    }

    /// The order, if it is this customer's. A stranger's is `None`, like one that never was.
    pub async fn order_of(&self, id: OrderId, customer: CustomerId) -> Result<Option<Order>, StoreError> {
        Ok(self.order(id).await?.filter(|order| order.customer == customer))
    }

    /// Where the order stands, without the rest of it. `None` when there is none.
    pub async fn state(&self, id: OrderId) -> Result<Option<OrderState>, StoreError> {
        let order = id.as_uuid();
        let row = sqlx::query!("select state, refusal from customer_order where order_id = $1", order)
            .fetch_optional(&self.pool)
            .await?;
        let state = row.map(|row| parse_state(&row.state, row.refusal)).transpose();
        state.map_err(|detail| StoreError::Corrupt { order, detail })
    }

    /// A page of the customer's orders, newest first: those older than `before`, at most `page_size` and as many lines as fit
    /// a message. The flag says whether there are more.
    pub async fn orders_of(
        &self,
        customer: CustomerId,
        before: Option<OrderId>,
        page_size: usize,
    ) -> Result<(Vec<Order>, bool), StoreError> {
        let mut conn = self.pool.acquire().await?;
        // One more than asked for tells whether another page follows.
        let limit = i64::try_from(page_size.saturating_add(1)).unwrap_or(i64::MAX);
        let found = sqlx::query!(
            "select order_id, line_count from customer_order
             where customer_id = $1 and order_id < $2
             order by order_id desc
             limit $3",
            customer.as_uuid(),
            before.map_or(Uuid::max(), OrderId::as_uuid),
            limit,
        )
        .fetch_all(&mut *conn)
        .await?;
        let taken = orders_that_fit(found.iter().take(page_size).map(|row| i64::from(row.line_count)));
        let ids: Vec<_> = found.iter().take(taken).map(|row| row.order_id).collect();
        let mut orders = load(&mut conn, &ids).await?.into_values().collect::<Result<Vec<_>, _>>()?;
        orders.sort_unstable_by_key(|order| std::cmp::Reverse(order.id));
        Ok((orders, taken < found.len()))
    }
}

/// Orders by id; a corrupt one does not hide the others.
type Loaded = HashMap<Uuid, Result<Order, StoreError>>;

/// The orders named that exist, each with its lines by offer.
pub(super) async fn load(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Loaded, StoreError> {
    let rows = sqlx::query_as!(
        OrderRow,
        "select order_id, customer_id, cart_id, home_region, state, refusal, currency, total_minor, captured, refunded_minor,
                delivery_recipient, delivery_street, delivery_city, delivery_postal_code, delivery_country, created_at,
                superseded_by
         from customer_order
         where order_id = any ($1)",
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let mut lines = HashMap::<Uuid, Vec<LineRow>>::with_capacity(rows.len());
    for line in load_lines(conn, ids).await? {
        lines.entry(line.order_id).or_default().push(line);
    }
    let orders = rows.into_iter().map(|row| {
        let lines = lines.remove(&row.order_id).unwrap_or_default();
        (row.order_id, row.into_order(lines))
    });
    Ok(orders.collect())
}

/// The lines of the orders named, by offer.
pub(super) async fn load_lines(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<LineRow>, sqlx::Error> {
    sqlx::query_as!(
        LineRow,
        r#"select order_id, offer_id, seller_id, title, unit_price_minor, quantity,
                prices as "prices: Json<StoredPrices>", returned_quantity
         from order_line
         where order_id = any ($1)
         order by offer_id collate "C""#,
        ids,
    )
    .fetch_all(conn)
    .await
}
