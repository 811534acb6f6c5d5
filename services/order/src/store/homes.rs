//! Whose a request is: what this region handed on, what the other one decided, and orders of one request of which one is undone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use ids::{CustomerId, IdempotencyKey, OrderId, Region};
use sabotage::crash_point;

use super::row::{parse, parse_state};
use super::{Store, StoreError};
use crate::domain::Fate;

/// What was taken from a queue is looked at again after this, unless its taker has settled it or put it off: the taker died, or the row can be
/// neither read nor written. Longer than the takers put off what only has to wait, so that a row that nothing mends costs little.
const TAKEN_FOR: Duration = Duration::from_secs(10);

/// What this region knows of a request to place an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// It has made an order of it.
    pub is_known: bool,
    /// It has handed it to the owner's home.
    pub was_handed_on: bool,
}

/// An order of ours that the home of its owner is to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// The order.
    pub order: OrderId,
    /// Who ordered.
    pub customer: CustomerId,
    /// The request's key.
    pub key: IdempotencyKey,
    /// What has become of it.
    pub fate: Fate,
    /// When the home was first told of it, if it was.
    pub told_home_at: Option<DateTime<Utc>>,
}

impl Store {
    /// What this region knows of a request.
    pub async fn seen(&self, customer: CustomerId, key: &IdempotencyKey) -> Result<Seen, StoreError> {
        let row = sqlx::query!(
            r#"select exists (select from customer_order where customer_id = $1 and idempotency_key = $2) as "is_known!",
                      exists (select from forwarded_request where customer_id = $1 and idempotency_key = $2) as "was_handed_on!""#,
            customer.as_uuid(),
            key.as_str(),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(Seen { is_known: row.is_known, was_handed_on: row.was_handed_on })
    }

    /// Notes, durably and before anything is sent, that a request is the business of `home`.
    pub async fn note_handed_on(
        &self,
        customer: CustomerId,
        key: &IdempotencyKey,
        home: Region,
    ) -> Result<(), StoreError> {
        crash_point("order.hand-on.before-commit").await;
        sqlx::query!(
            "insert into forwarded_request (customer_id, idempotency_key, home_region) values ($1, $2, $3)
             on conflict do nothing",
            customer.as_uuid(),
            key.as_str(),
            home.name(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.hand-on.after-commit").await;
        Ok(())
    }

    /// Remembers that the other region made `order` of a request of one of our owners: from here on nothing is started here under its
    /// key. Returns the order that this region made of the same request, if it did.
    pub async fn note_decided_away(
        &self,
        customer: CustomerId,
        key: &IdempotencyKey,
        order: OrderId,
    ) -> Result<Option<(OrderId, Fate)>, StoreError> {
        crash_point("order.note-decided-away.before-commit").await;
        sqlx::query!(
            "insert into decided_away (customer_id, idempotency_key, order_id) values ($1, $2, $3) on conflict do nothing",
            customer.as_uuid(),
            key.as_str(),
            order.as_uuid(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.note-decided-away.after-commit").await;
        let row = sqlx::query!(
            "select order_id, state, refusal from customer_order where customer_id = $1 and idempotency_key = $2",
            customer.as_uuid(),
            key.as_str(),
        )
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| {
            let state = parse_state(&row.state, row.refusal)
                .map_err(|detail| StoreError::Corrupt { order: row.order_id, detail })?;
            Ok((OrderId::from_uuid(row.order_id), state.fate()))
        })
        .transpose()
    }

    /// Takes at most `limit` orders decided here in their owners' absent homes' stead, which those are to be told of now, those that wait
    /// longest first. Each is to be looked at again after [`TAKEN_FOR`], whatever becomes of it: one that somebody holds is left for the
    /// next look, and one that cannot be read is an error of its own, so that neither keeps another waiting.
    pub async fn take_untold(&self, limit: i64) -> Result<Vec<Result<Untold, StoreError>>, StoreError> {
        // no crash point: what was taken and not told is taken again.
        let rows = sqlx::query!(
            "update customer_order set tell_home_after = now() + make_interval(secs => $1)
             where order_id in (
                select order_id from customer_order
                where tell_home_after <= now()
                order by tell_home_after
                limit $2
                for no key update skip locked
             )
             returning order_id, customer_id, idempotency_key, state, refusal, told_home_at",
            TAKEN_FOR.as_secs_f64(),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        let untold = rows.into_iter().map(|row| {
            let state = parse_state(&row.state, row.refusal)
                .map_err(|detail| StoreError::Corrupt { order: row.order_id, detail })?;
            Ok(Untold {
                order: OrderId::from_uuid(row.order_id),
                customer: CustomerId::from_uuid(row.customer_id),
                key: parse(row.order_id, &row.idempotency_key)?,
                fate: state.fate(),
                told_home_at: row.told_home_at,
            })
        });
        Ok(untold.collect())
    }

    /// The home knows of the order; it is told again after `again`, or never.
    pub async fn told_home(&self, order: OrderId, again: Option<Duration>) -> Result<(), StoreError> {
        crash_point("order.told-home.before-commit").await;
        sqlx::query!(
            "update customer_order
             set told_home_at = coalesce(told_home_at, now()), tell_home_after = now() + make_interval(secs => $2)
             where order_id = $1",
            order.as_uuid(),
            again.map(|again| again.as_secs_f64()),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.told-home.after-commit").await;
        Ok(())
    }

    /// The home could not be told; it is tried again after `again`.
    pub async fn not_told_home(&self, order: OrderId, again: Duration) -> Result<(), StoreError> {
        crash_point("order.not-told-home.before-commit").await;
        sqlx::query!(
            "update customer_order set tell_home_after = now() + make_interval(secs => $2) where order_id = $1",
            order.as_uuid(),
            again.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.not-told-home.after-commit").await;
        Ok(())
    }

    /// Makes it our duty to undo `order`, the later of two of one request; `by` stands. Repeating it changes nothing.
    pub async fn supersede(&self, order: OrderId, by: OrderId) -> Result<(), StoreError> {
        crash_point("order.supersede.before-commit").await;
        sqlx::query!(
            "with duty as (
                insert into superseded_order (order_id, by_order_id) values ($1, $2) on conflict do nothing
             )
             update customer_order set superseded_by = $2 where order_id = $1 and superseded_by is null",
            order.as_uuid(),
            by.as_uuid(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.supersede.after-commit").await;
        Ok(())
    }

    /// Takes at most `limit` superseded orders that are still to be undone, with the one that stands; those that wait longest first. Each is
    /// to be looked at again after [`TAKEN_FOR`]. One whose order somebody holds is left for the next look: undoing it would wait.
    pub async fn take_superseded(&self, limit: i64) -> Result<Vec<(OrderId, OrderId)>, StoreError> {
        // no crash point: what was taken and not undone is taken again.
        let rows = sqlx::query!(
            "update superseded_order set next_look_at = now() + make_interval(secs => $1)
             where order_id in (
                select superseded_order.order_id
                from superseded_order join customer_order on customer_order.order_id = superseded_order.order_id
                where next_look_at <= now()
                order by next_look_at
                limit $2
                for no key update skip locked
             )
             returning order_id, by_order_id",
            TAKEN_FOR.as_secs_f64(),
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(rows
            .into_iter()
            .map(|row| (OrderId::from_uuid(row.order_id), OrderId::from_uuid(row.by_order_id)))
            .collect())
    }

    /// A superseded order is undone: nothing is left to decide about it.
    pub async fn undone(&self, order: OrderId) -> Result<(), StoreError> {
        crash_point("order.undone.before-commit").await;
        sqlx::query!(
            "update superseded_order set next_look_at = null, settled_at = now() where order_id = $1 and settled_at is null",
            order.as_uuid(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.undone.after-commit").await;
        Ok(())
    }

    /// A superseded order cannot be undone yet; it is looked at again after `again`.
    pub async fn not_undone(&self, order: OrderId, again: Duration) -> Result<(), StoreError> {
        crash_point("order.not-undone.before-commit").await;
        sqlx::query!(
            "update superseded_order set next_look_at = now() + make_interval(secs => $2)
             where order_id = $1 and settled_at is null",
            order.as_uuid(),
            again.as_secs_f64(),
        )
        .execute(&self.pool)
        .await?;
        crash_point("order.not-undone.after-commit").await;
        Ok(())
    }
}
