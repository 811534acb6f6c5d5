//! Placing an order: the pending row, the pivot, the way back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::order::v1 as events;
use ids::{CustomerId, IdempotencyKey, OrderId};
use outbox::NewEvent;
use sabotage::crash_point;
use sqlx::types::Json;

use super::fence::{Fence, is_unguarded};
use super::lease::Lease;
use super::row::{StoredPrices, stored_prices};
use super::{Store, StoreError, refusal};
use crate::domain::{Order, OrderLine, PlaceRequest, Refusal, RequestDigest, UnitsAt};
use crate::sagas::place_order::Step;

/// An order that an earlier request with the same key made.
#[derive(Debug, Clone)]
pub struct KnownRequest {
    /// The order.
    pub order: OrderId,
    /// Of the request; none when the other region made the order, which judges repeats itself.
    digest: Option<Vec<u8>>,
}

impl KnownRequest {
    /// Whether it was the same request and not another one under its key.
    pub fn is_of(&self, digest: &RequestDigest) -> bool {
        self.digest.as_ref().is_some_and(|known| digest.is(known))
    }

    /// Whether the other region made the order.
    pub const fn is_elsewhere(&self) -> bool {
        self.digest.is_none()
    }
}

/// What is stored with a new order.
#[derive(Debug)]
pub struct NewOrder<'a> {
    /// The pending order.
    pub order: &'a Order,
    /// The request that asked for it.
    pub request: &'a PlaceRequest,
    /// How long nobody else drives it.
    pub lease: Duration,
    /// From here on it must not be stored any more, by the database's clock.
    pub not_after: DateTime<Utc>,
    /// The trace it belongs to.
    pub traceparent: Option<String>,
}

impl Store {
    /// The order that this customer's key already made, if any: ours, or else one that the other region told us of.
    pub async fn known_request(
        &self,
        customer: CustomerId,
        key: &IdempotencyKey,
    ) -> Result<Option<KnownRequest>, StoreError> {
        let row = sqlx::query!(
            r#"select order_id as "order_id!", request_digest from (
                   select order_id, request_digest, 1 as rank from customer_order
                   where customer_id = $1 and idempotency_key = $2
                   union all
                   select order_id, null, 2 from decided_away where customer_id = $1 and idempotency_key = $2
               ) as known
               order by rank limit 1"#,
            customer.as_uuid(),
            key.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|row| KnownRequest { order: OrderId::from_uuid(row.order_id), digest: row.request_digest }))
    }

    /// Stores a pending order and its lines in one statement: one round trip, one commit. After it the order is driven to an
    /// end whatever happens to this process.
    ///
    /// The caller drives it. `None` when nothing was stored: a request with the same key was first, or `not_after` has passed.
    pub async fn insert_pending(&self, new: NewOrder<'_>) -> Result<Option<Lease>, StoreError> {
        let NewOrder { order, request, .. } = &new;
        let column =
            |text: fn(&OrderLine) -> &str| order.lines.iter().map(|line| text(line).to_owned()).collect::<Vec<_>>();
        let number = |of: fn(&OrderLine) -> i64| order.lines.iter().map(of).collect::<Vec<_>>();
        let prices: Vec<_> = order.lines.iter().map(|line| stored_prices(&line.prices)).collect();
        let (digest, currency) = (request.digest(), order.total.currency());
        crash_point("order.insert-pending.before-commit").await;
        let inserted = sqlx::query_scalar!(
            r#"with inserted as (
                insert into customer_order (
                    order_id, customer_id, idempotency_key, request_digest, home_region, cart_id, state, currency, total_minor,
                    line_count, card_token, delivery_recipient, delivery_street, delivery_city, delivery_postal_code,
                    delivery_country, traceparent, fence, drive_after, created_at, tell_home_after)
                select $1, $2, $3, $4, $5, $6, 'pending', $7, $8, cardinality($9::text[]), $10, $11, $12, $13, $14, $15, $16,
                       $17, now() + make_interval(secs => $18), $19, case when $26::boolean then now() end
                where clock_timestamp() < $20
                on conflict do nothing
                returning order_id
             ), lines as (
                insert into order_line (order_id, offer_id, seller_id, title, unit_price_minor, quantity, prices)
                select inserted.order_id, line.*
                from inserted cross join unnest($9::text[], $21::text[], $22::text[], $23::bigint[], $24::bigint[],
                                                $25::jsonb[]) as line
             )
             select count(*) as "count!" from inserted"#,
            order.id.as_uuid(),
            order.customer.as_uuid(),
            request.idempotency_key.as_str(),
            digest.as_bytes(),
            order.home_region.name(),
            order.cart.as_uuid(),
            currency.code(),
            order.total.minor_units(),
            &column(|line| line.offer.as_str()),
            request.card_token.reveal(),
            order.delivery.recipient,
            order.delivery.street,
            order.delivery.city,
            order.delivery.postal_code,
            order.delivery.country,
            new.traceparent,
            Fence::FIRST.as_i64(),
            new.lease.as_secs_f64(),
            order.created_at,
            new.not_after,
            &column(|line| line.seller.as_str()),
            &column(|line| line.title.as_str()),
            &number(|line| line.prices.dearest_minor()),
            &number(OrderLine::quantity),
            &prices as &[Option<Json<StoredPrices>>],
            // Decided here in the stead of the owner's home, which has to learn of it.
            order.customer.home() != order.home_region,
        )
        .fetch_one(&self.pool)
        .await?;
        crash_point("order.insert-pending.after-commit").await;
        Ok((inserted > 0).then(|| Lease::new(order.id, Fence::FIRST, new.lease)))
    }

    /// The pivot: the order is placed and its event is in the outbox, in one transaction. Durable before the shopper is told.
    ///
    /// False when the lease is another driver's or the order no longer pending. The row lock makes one winner of two drivers, so
    /// there is one event.
    pub async fn mark_placed(&self, order: &Order, lease: &Lease) -> Result<bool, StoreError> {
        // Before the transaction begins and not before it commits, which is the same for one who dies here; but one who is held up
        // here holds no lock, so that another can overtake it.
        crash_point("order.place.before-commit").await;
        let mut transaction = chassis::database::begin(&self.pool).await?;
        let updated = sqlx::query!(
            "update customer_order
             set state = 'placed', unwind_from = null, refusal = null, card_token = null, drive_after = null
             where order_id = $1 and (state = 'pending' and fence = $2 or $3)",
            order.id.as_uuid(),
            lease.fence.as_i64(),
            is_unguarded(),
        )
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        let event = NewEvent::new("order.placed.v1", "order", order.id.to_string(), &placed(order));
        outbox::append(&mut transaction, order.home_region, &[event]).await?;
        transaction.commit().await?;
        crash_point("order.place.after-commit").await;
        Ok(true)
    }

    /// Turns a pending order round: from here on only compensations run, beginning with that of `unwind_from`. Durable before
    /// the first of them; renews the lease. The card's token is of no more use.
    ///
    /// False when the lease is another driver's or the order no longer pending.
    pub async fn mark_compensating(&self, lease: &Lease, unwind_from: Step, why: &Refusal) -> Result<bool, StoreError> {
        crash_point("order.mark-compensating.before-commit").await;
        let updated = sqlx::query!(
            "update customer_order
             set state = 'compensating', unwind_from = $2, refusal = $3, card_token = null, attempts = 0,
                 drive_after = now() + make_interval(secs => $4)
             where order_id = $1 and (state = 'pending' and fence = $5 or $6)",
            lease.order.as_uuid(),
            unwind_from.name(),
            refusal::encode(why),
            lease.length.as_secs_f64(),
            lease.fence.as_i64(),
            is_unguarded(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.mark-compensating.after-commit").await;
        Ok(updated.rows_affected() > 0)
    }

    /// Ends a compensating order, of which nothing is left elsewhere. The refusal stays for repeats of the request.
    ///
    /// False when the lease is another driver's or the order not compensating.
    pub async fn mark_rejected(&self, lease: &Lease) -> Result<bool, StoreError> {
        crash_point("order.mark-rejected.before-commit").await;
        let updated = sqlx::query!(
            "update customer_order set state = 'rejected', unwind_from = null, drive_after = null
             where order_id = $1 and (state = 'compensating' and fence = $2 or $3)",
            lease.order.as_uuid(),
            lease.fence.as_i64(),
            is_unguarded(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.mark-rejected.after-commit").await;
        Ok(updated.rows_affected() > 0)
    }
}

/// The event: what was ordered, and nothing about who or where to.
fn placed(order: &Order) -> events::OrderPlaced {
    let money = |minor_units| contracts::money::v1::Money {
        minor_units,
        currency_code: order.total.currency().code().to_owned(),
    };
    let priced = |units: UnitsAt| contracts::money::v1::PricedUnits {
        unit_price: Some(money(units.unit_price_minor)),
        quantity: units.quantity,
    };
    let line = |line: &OrderLine| events::OrderedLine {
        offer_id: line.offer.to_string(),
        seller_id: line.seller.to_string(),
        quantity: line.quantity(),
        unit_price: Some(money(line.prices.dearest_minor())),
        prices: line.prices.iter().map(priced).collect(),
    };
    events::OrderPlaced {
        order_id: order.id.to_string(),
        cart_id: order.cart.to_string(),
        lines: order.lines.iter().map(line).collect(),
        total: Some(money(order.total.minor_units())),
    }
}
